"""What the logs of a running stack say about one trace: the steps that no table keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flows.log_lines import parsed
from infra.logs import KEPT_RUNS
from monitoring.journey import Heard, JourneyRow
from services.prediction_log import logged_days


def heard_in_logs(folder: Path, row: JourneyRow) -> Heard:
    """The first record of each step in the logs of ``folder``; nothing where there is no log, or no trace id.

    The logs are other processes' and may be torn or gone: what cannot be read is passed over.
    """
    if row.trace_id is None:
        return Heard()
    found: dict[str, datetime] = {}
    for path in _logs(folder):
        for line in _lines(path, row.trace_id):
            for step, at in _said(line, row):
                found[step] = min(at, found.get(step, at))
    return Heard(**(asdict(Heard()) | found))


def _said(line: dict[str, Any], row: JourneyRow) -> Iterator[tuple[str, datetime]]:
    if (line.get("game_id"), line.get("minute")) != (row.game_id, row.minute):
        return
    event = line.get("event")
    names: tuple[str, ...] = ()
    if event == "forecast told" and line.get("revision") == row.revision:
        names = ("taken_at", "told_at")
    elif event == "forecast broadcast":
        names = ("broadcast_at",)
    for name in names:
        if (at := _moment(line.get(name))) is not None:
            yield name, at
    if event == "prediction" and line.get("request_id") == row.request_id:
        began_at, took_ms = _moment(line.get("timestamp")), line.get("duration_ms")
        if began_at is not None and isinstance(took_ms, int | float):
            yield "made_at", began_at + timedelta(milliseconds=took_ms)


def _logs(folder: Path) -> Iterator[Path]:
    """Those of predictor and board, earlier runs too, and of predictions."""
    for service in ("predictor", "board"):
        yield folder / f"{service}.log"
        yield from (folder / f"{service}.log.{number}" for number in range(1, KEPT_RUNS + 1))
    try:
        yield from logged_days(folder).values()
    except OSError:
        return


def _lines(path: Path, trace_id: str) -> Iterator[dict[str, Any]]:
    wanted = trace_id.encode()
    try:
        with path.open("rb") as file:
            for line in file:
                # Most lines are of other traces and are not worth reading as JSON.
                if wanted in line and (event := parsed(line)) is not None and event.get("trace_id") == trace_id:
                    yield event
    except OSError:
        return


def _moment(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
