"""Evidently over settled official forecasts: what came in and how good it was, against a reference.

Built for few games. Drift is an effect size (Wasserstein distance in standard deviations of the reference), never a
p-value, and its threshold widens with the noise of the sample; the tests of bias, skill, coverage and width do too.
Below MIN_GAMES nothing is computed and the body says so; below MIN_DRIFT_GAMES the quality figures stand alone. Columns
that are empty, infinite or constant are left out by name, since one of them makes Evidently refuse the whole report.

The body is what goes into the table `reports`; ``snapshot`` in it is Evidently's own, from which its page is rendered
on demand (`monitoring.report_page`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from monitoring.report_figures import drift_threshold, flat_figures
from monitoring.report_frames import DRIFT_COLUMNS, QUALITY_COLUMNS, check_columns, finite_rows

KIND = "evidently"
SNAPSHOT = "snapshot"
MIN_GAMES = 5
MIN_DRIFT_GAMES = 20
# What is unknown of a few games does not hide the column of all the others.
KNOWN_SHARE = 0.9


@dataclass(frozen=True)
class EvidentlyReport:
    """``body`` is valid JSON (no NaN) for JSONB; ``status`` is ok or not_enough_games; ``snapshot`` Evidently's own as
    plain values, None when there was nothing to compute."""

    body: dict[str, Any]
    snapshot: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> str:
        """ok, or not_enough_games."""
        return str(self.body["status"])

    @property
    def flags(self) -> list[str]:
        """What a person should look at: drifted columns and failed tests, a sentence each."""
        return [str(flag) for flag in self.body["flags"]]

    def stored(self) -> dict[str, Any]:
        """The body with the snapshot, as the table `reports` keeps it."""
        return self.body | {SNAPSHOT: self.snapshot}


def build_evidently_report(
    current: pd.DataFrame,
    reference: pd.DataFrame | None = None,
    *,
    window: str,
    model_version: str | None = None,
    alpha: float = 0.05,
    at: datetime | None = None,
) -> EvidentlyReport:
    """Compare ``current`` with ``reference``; both have COLUMNS. Never raises for small, empty or NaN data.

    ``window`` says in words what ``current`` holds; its intervals promise 1 - ``alpha``; ``at`` is the snapshot's
    place in time, now when unset. Raises ReportError when a column is absent.
    """
    check_columns(current=current, reference=reference)
    games = finite_rows(current, QUALITY_COLUMNS)
    body: dict[str, Any] = {
        "window": window,
        "model_version": model_version,
        "alpha": alpha,
        "n": len(games),
        "n_reference": 0 if reference is None else len(reference),
        "flags": [],
        "figures": flat_figures(games),
        "drift": [],
        "tests": [],
        "left_out": {},
        "notes": [],
        "evidently": None,
    }
    if len(games) < MIN_GAMES:
        message = f"not enough games (n={len(games)}): a report needs {MIN_GAMES}"
        return EvidentlyReport({"status": "not_enough_games", "message": message} | body)
    columns, body["left_out"] = _comparable(games, reference)
    if len(games) < MIN_DRIFT_GAMES:
        body["notes"].append(f"drift is not judged: not enough games (n={len(games)}), it needs {MIN_DRIFT_GAMES}")
        columns = []
    threshold = drift_threshold(len(games), body["n_reference"]) if columns else None
    from monitoring.report_metrics import run_report

    made = run_report(games, reference, columns, threshold, alpha=alpha, figures=body["figures"], name=window, at=at)
    body["evidently"] = finite_json(json.loads(made.json()))
    body["drift"] = _drift(body["evidently"], threshold)
    body["tests"] = _tests(body["evidently"])
    body["flags"] = [
        f"{one['column']} has moved by {one['distance']:.2f} standard deviations"
        for one in body["drift"]
        if one["drifted"]
    ] + [one["description"] for one in body["tests"] if not one["passed"]]
    flags = len(body["flags"])
    message = f"{len(games)} settled games, {flags or 'no'} flag{'' if flags == 1 else 's'}"
    return EvidentlyReport({"status": "ok", "message": message} | body, _slim(json.loads(made.dumps())))


def _slim(dumped: dict[str, Any]) -> dict[str, Any]:
    """A snapshot without the second copy of each plot, and with plots to five digits: a third of its size."""
    slim: dict[str, Any] = finite_json(dumped)
    slim["metric_results"] = {name: one | {"widget": None} for name, one in slim["metric_results"].items()}
    slim["widgets"] = _rounded(slim["widgets"])
    return slim


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def finite_json(value: Any) -> Any:
    """``value`` with NaN and infinities as null, which JSONB and strict parsers need."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(part) for part in value]
    return value


def _comparable(games: pd.DataFrame, reference: pd.DataFrame | None) -> tuple[list[str], dict[str, str]]:
    """Columns both samples can be compared in, and why the others cannot."""
    if reference is None or len(reference) < MIN_DRIFT_GAMES:
        size = 0 if reference is None else len(reference)
        return [], dict.fromkeys(DRIFT_COLUMNS, f"not enough games (n={size}) in the reference: {MIN_DRIFT_GAMES}")
    left_out: dict[str, str] = {}
    for column in DRIFT_COLUMNS:
        for name, frame in (("these games", games), ("the reference", reference)):
            values = frame[column].to_numpy(dtype=float)
            known = values[np.isfinite(values)]
            if np.isinf(values).any() or len(known) < KNOWN_SHARE * len(values):
                left_out.setdefault(column, f"known for {len(known)} of {len(values)} games of {name}")
            elif name == "the reference" and known.std() < 1e-9:
                left_out.setdefault(column, f"constant in {name}")
    return [column for column in DRIFT_COLUMNS if column not in left_out], left_out


def _drift(body: dict[str, Any], threshold: float | None) -> list[dict[str, Any]]:
    found = []
    for metric in body["metrics"]:
        if metric["config"]["type"].endswith(":ValueDrift"):
            distance = metric["value"]
            drifted = distance is not None and threshold is not None and distance >= threshold
            found.append(
                {"column": metric["config"]["column"], "distance": distance, "threshold": threshold, "drifted": drifted}
            )
    return found


def _tests(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"test": one["name"], "description": one["description"], "passed": one["status"] == "SUCCESS"}
        for one in body["tests"]
    ]
