"""What the logs say about a trace: its own lines alone, whatever else lies there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from flows.trace_logs import heard_in_logs
from monitoring.journey import Heard, JourneyRow

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROW = JourneyRow(
    "g", "BOS", "PHX", "live", date(2026, 1, 5), 18, 0, "a" * 32, "live:g:18:0:x", "3", 4.5, 1080.0, None, AT, AT, AT,
    AT, AT, None,
)  # fmt: skip
OURS = {"game_id": "g", "minute": 18, "trace_id": "a" * 32}


def write(path: Path, *lines: object) -> None:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))


def told(second: int, **changes: object) -> dict[str, object]:
    taken, at = f"2026-01-05T12:00:{second:02d}+00:00", f"2026-01-05T12:00:{second + 1:02d}+00:00"
    return {"event": "forecast told", "revision": 0, "taken_at": taken, "told_at": at} | OURS | changes


def test_steps_are_found_in_the_logs_of_predictor_board_and_predictions(tmp_path: Path) -> None:
    write(tmp_path / "predictor.log", "no JSON, of " + "a" * 32, told(9, minute=17), told(9, revision=1), told(1))
    write(
        tmp_path / "board.log",
        {"event": "forecast broadcast", "broadcast_at": "2026-01-05T12:00:04+00:00"} | OURS,
        {"event": "forecast broadcast", "broadcast_at": "2026-01-05T12:00:03+00:00"} | OURS,
    )
    line = {"event": "prediction", "timestamp": "2026-01-05T12:00:01.500000+00:00", "duration_ms": 250.0}
    write(
        tmp_path / "predictions_2026-01-05.log",
        line | OURS | {"request_id": "another", "duration_ms": 1.0},
        line | OURS | {"request_id": ROW.request_id},
    )
    assert heard_in_logs(tmp_path, ROW) == Heard(
        taken_at=AT.replace(second=1),
        made_at=AT.replace(second=1, microsecond=750_000),
        told_at=AT.replace(second=2),
        broadcast_at=AT.replace(second=3),
    )


def test_logs_of_earlier_runs_are_read_too(tmp_path: Path) -> None:
    write(tmp_path / "predictor.log", told(1, trace_id="b" * 32))
    write(tmp_path / "predictor.log.2", told(5))
    assert heard_in_logs(tmp_path, ROW).taken_at == AT.replace(second=5)


def test_what_is_broken_torn_or_not_there_is_passed_over(tmp_path: Path) -> None:
    assert heard_in_logs(tmp_path / "nowhere", ROW) == Heard()
    write(tmp_path / "predictor.log", told(1, taken_at="yesterday", told_at="2026-01-05T12:00:00"), "{" + "a" * 32)
    write(tmp_path / "board.log", {"event": "forecast broadcast"} | OURS, ["a" * 32])
    assert heard_in_logs(tmp_path, ROW) == Heard()


def test_a_forecast_that_nobody_traced_is_found_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "predictor.log", told(1, trace_id=None))
    assert heard_in_logs(tmp_path, replace(ROW, trace_id=None)) == Heard()
