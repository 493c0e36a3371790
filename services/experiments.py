"""Results that belong to no model version, kept in MLflow: parameters, figures by step, files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from services.mlflow_link import experiment_id, mlflow_client

# What one request may carry.
_METRICS_AT_ONCE = 1000


class ExperimentsUnavailable(RuntimeError):
    """MLflow did not take a result."""


class Figure(NamedTuple):
    """One number; ``step`` orders those of one name, as minutes do."""

    name: str
    value: float
    step: int


def log_result(
    tracking_uri: str,
    experiment: str,
    *,
    name: str,
    params: Mapping[str, str],
    figures: Sequence[Figure],
    files: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """One finished run in ``experiment`` (made when it is not there); its id. ``files`` are name -> text.

    Raises ExperimentsUnavailable, which names the run when it was begun.
    """
    client = mlflow_client(tracking_uri)
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    run_id = None
    try:
        run = client.create_run(experiment_id(client, experiment), run_name=name)
        run_id, now = str(run.info.run_id), run.info.start_time
        client.log_batch(
            run_id,
            params=[Param(key, value[:6000]) for key, value in sorted(params.items())],
            tags=[RunTag(key, value) for key, value in sorted(tags.items())],
        )
        for some in _batches(figures):
            client.log_batch(run_id, metrics=[Metric(one.name, one.value, now, one.step) for one in some])
        with tempfile.TemporaryDirectory(prefix="halftime-result-") as folder:
            for file, text in files.items():
                (Path(folder) / file).write_text(text, encoding="utf-8")
            client.log_artifacts(run_id, folder)
        client.set_terminated(run_id, "FINISHED")
    except (MlflowException, RequestException) as error:
        left = "" if run_id is None else f" (run {run_id} is incomplete)"
        raise ExperimentsUnavailable(f"MLflow at {tracking_uri} did not take the result{left}: {error}") from error
    return run_id


def _batches(figures: Sequence[Figure]) -> Iterator[Sequence[Figure]]:
    for start in range(0, len(figures), _METRICS_AT_ONCE):
        yield figures[start : start + _METRICS_AT_ONCE]
