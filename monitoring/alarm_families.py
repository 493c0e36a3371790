"""Alarms as Prometheus shows them: how much evidence there is, from how many games, and whether it is enough.

The decision is made here and not in a rule, because kinds of games are judged together (models/alarm_streams.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from models.alarm_streams import ALL, COVERAGE, kinds_in_alarm
from models.alarms import DRIFT_THRESHOLD, TICKET_THRESHOLD
from services.store import AlarmState

LINE_LABELS = ("source", "lineage", "level")
ALARM_LABELS = (*LINE_LABELS, "alarm", "kind")


def alarm_families(states: Sequence[AlarmState]) -> Iterator[Metric]:
    """Evidence, games and verdict of every alarm; of the coverage of all games also under a name of its own."""
    coverage = GaugeMetricFamily(
        "halftime_coverage_log_evidence", "ln of the e-detector against a miss rate above nominal", labels=LINE_LABELS
    )
    evidence = GaugeMetricFamily("halftime_alarm_log_evidence", "ln of each alarm's e-detector", labels=ALARM_LABELS)
    games = GaugeMetricFamily("halftime_alarm_games", "Settled forecasts each alarm has seen", labels=ALARM_LABELS)
    firing = GaugeMetricFamily("halftime_alarm_firing", "1 while the evidence is an alarm", labels=ALARM_LABELS)
    lines: dict[tuple[str, str, str], list[AlarmState]] = defaultdict(list)
    for state in states:
        if state.detector.log_evidence is not None:
            lines[state.source, state.lineage, level_of(state.alpha)].append(state)
    for line, of_line in sorted(lines.items()):
        alarms = in_alarm(of_line)
        for state in of_line:
            labels, found = (*line, *state.stream), state.detector.log_evidence
            assert found is not None
            evidence.add_metric(labels, found)
            games.add_metric(labels, float(state.detector.n))
            firing.add_metric(labels, float(state.stream in alarms))
            if state.stream == (COVERAGE, ALL):
                coverage.add_metric(line, found)
    yield from (coverage, evidence, games, firing)


def in_alarm(of_line: Sequence[AlarmState]) -> set[tuple[str, str]]:
    """(alarm, kind) of those of one line that are alarms: coverage of all games by itself, the streams of drift
    together, the kinds of games together."""
    known = {state.stream: state.detector.log_evidence or 0.0 for state in of_line}
    kinds = {stream.kind: value for stream, value in known.items() if stream.kind != ALL}
    found = {(COVERAGE, kind) for kind in kinds_in_alarm(kinds)}
    for stream, value in known.items():
        if stream.kind == ALL and value >= (TICKET_THRESHOLD if stream.alarm == COVERAGE else DRIFT_THRESHOLD):
            found.add((stream.alarm, stream.kind))
    return found


def level_of(alpha: float) -> str:
    """The promised level as a label."""
    return f"{round(1 - alpha, 6):g}"
