"""Alarms as they are published: evidence and games of each, and a verdict."""

from __future__ import annotations

from models.alarm_streams import ALL, COVERAGE, Stream, begun
from models.alarms import Reference
from monitoring.alarm_families import alarm_families, in_alarm
from services.store import AlarmState
from tests.support.rows import NOON

REFERENCE = Reference(12.0, 4.0, 0.5, 1300)


def state(alarm: str, kind: str, happened: int, n: int, lineage: str = "a") -> AlarmState:
    """An alarm after ``n`` games, the last ``happened`` of them "yes"."""
    detector = begun(Stream(alarm, kind), 0.05, REFERENCE).after([False] * (n - happened) + [True] * happened)
    return AlarmState("recorded", lineage, 0.05, Stream(alarm, kind), detector, NOON)


def samples(*states: AlarmState) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in alarm_families(states)
        for sample in family.samples
    }


def test_every_alarm_has_evidence_games_and_a_verdict() -> None:
    found = samples(state(COVERAGE, ALL, 0, 3), state("high", ALL, 60, 60))
    line = ("recorded", "a", "0.95")
    assert found["halftime_alarm_games", *line, COVERAGE, ALL] == 3
    assert found["halftime_alarm_firing", *line, COVERAGE, ALL] == 0
    assert found["halftime_alarm_firing", *line, "high", ALL] == 1
    assert found["halftime_alarm_log_evidence", *line, "high", ALL] > 10.9
    one = {missed: samples(state(COVERAGE, ALL, missed, 1)) for missed in (0, 1)}
    assert one[0]["halftime_coverage_log_evidence", *line] < 0 < one[1]["halftime_coverage_log_evidence", *line]


def test_lines_are_judged_apart_and_kinds_of_one_line_together() -> None:
    kinds = [state(COVERAGE, kind, 7, 20) for kind in ("lead 0-2", "lead 3-5")]
    quiet = [state(COVERAGE, kind, 0, 20) for kind in ("lead 6-9", "playoffs")]
    assert in_alarm(kinds) == {(COVERAGE, "lead 0-2"), (COVERAGE, "lead 3-5")}
    assert in_alarm([*kinds[:1], *quiet, *(state(COVERAGE, f"minute {n}", 0, 20) for n in range(60))]) == set()
    assert samples(*kinds, state(COVERAGE, "lead 0-2", 0, 9, lineage="b"))[
        "halftime_alarm_firing", "recorded", "b", "0.95", COVERAGE, "lead 0-2"
    ] == 0  # fmt: skip


def test_before_the_first_game_nothing_is_published() -> None:
    stream = Stream(COVERAGE, ALL)
    assert samples(AlarmState("recorded", "a", 0.05, stream, begun(stream, 0.05, None), NOON)) == {}
