"""The report of a night: what was forecast, what happened, how fast it went. Pure assembly of rows into one
model.

``build_night_report`` takes rows (``queries.night_rows``) and, when a WebSocket probe listened, the wall
times at which each forecast reached it. Nothing is invented: what was not measured is null in the JSON and
"-" for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from monitoring.evidence import Estimate, coverage_estimate, percentile, skill_estimate
from monitoring.journey import Heard, Journey, build_journey
from monitoring.night_model import (
    Hop,
    LatencyMs,
    MinuteFigures,
    ModelIdentity,
    NightGame,
    NightReport,
    Totals,
    Uncertain,
)
from monitoring.rows import GameRow, HopRow, NightRows

__all__ = ["ClientTimes", "NightError", "NightReport", "build_night_report"]

ClientTimes = Mapping[tuple[str, int], datetime]
"""(game_id, revision) -> wall time at which the probe received that forecast as it happened, aware UTC."""


class NightError(ValueError):
    """Rows that contradict each other; the message names the game."""


def build_night_report(rows: NightRows, client_times: ClientTimes | None = None) -> NightReport:
    """Assemble the report. The same rows give the same report, to the bit.

    Raises NightError when a settled game has no forecast or two rows are of one game.
    """
    games = tuple(_game(row) for row in sorted(rows.games, key=lambda row: row.game_id))
    if len({game.game_id for game in games}) != len(games):
        raise NightError(f"{rows.league_date}: a game appears twice among {[game.game_id for game in games]}")
    settled = [game for game in games if game.error is not None and game.persistence_error is not None]
    errors = [game.error for game in settled if game.error is not None]
    baseline = [game.persistence_error for game in settled if game.persistence_error is not None]
    judged = [game.covered for game in settled if game.covered is not None]
    widths = [game.upper - game.lower for game in settled if game.upper is not None and game.lower is not None]
    coverage = coverage_estimate(sum(judged), len(judged))
    skill = skill_estimate(errors, baseline)
    alphas = {game.alpha for game in games if game.alpha is not None}
    models = _models(rows.games, rows.hops)
    report = NightReport(
        league_date=rows.league_date,
        source=rows.source,
        games=games,
        totals=_totals(games, settled, rows.duplicates),
        mae=_mean([abs(error) for error in errors]),
        mae_persistence=_mean([abs(error) for error in baseline]),
        coverage=coverage.value if coverage else None,
        coverage_interval=_uncertain(coverage),
        nominal_coverage=round(1 - alphas.pop(), 12) if len(alphas) == 1 else None,
        mean_width=_mean(widths),
        n=len(settled),
        skill=_uncertain(skill),
        by_minute=tuple(MinuteFigures(**asdict(row)) for row in rows.minutes),
        latency_ms=_latency(rows.hops, client_times or {}),
        slowest=_slowest(rows, client_times or {}),
        model=models[-1] if models else ModelIdentity(version=None, digest=None),
        models=models,
        notes=(),
    )
    return report.model_copy(update={"notes": tuple(_notes(report))})


def _game(row: GameRow) -> NightGame:
    if row.covered is not None and (row.point is None or row.actual is None):
        raise NightError(
            f"game {row.game_id} is settled but has no forecast or no outcome: the rows are of different games"
        )
    # An outcome counts as an error only once it is settled, so that every figure is of the same games.
    actual = row.actual if row.covered is not None else None
    error = actual - row.point if row.point is not None and actual is not None else None
    baseline = actual - row.persistence if row.persistence is not None and actual is not None else None
    known = set(NightGame.model_fields) - {"error", "persistence_error"}
    return NightGame(**{name: getattr(row, name) for name in known}, error=error, persistence_error=baseline)


def _totals(games: Sequence[NightGame], settled: Sequence[NightGame], duplicates: int) -> Totals:
    kinds = [game.disposition for game in games]
    return Totals(
        games=len(games),
        forecast=kinds.count("forecast"),
        missed=kinds.count("missed"),
        void=kinds.count("void"),
        undecided=kinds.count(None),
        settled=len(settled),
        revised=sum((game.revision or 0) > 0 for game in games),
        duplicates=duplicates,
    )


def _models(games: Iterable[GameRow], hops: Iterable[HopRow]) -> tuple[ModelIdentity, ...]:
    """Every model behind the night's standing forecasts, the one of the newest forecast last."""
    committed = {(hop.game_id, hop.revision): hop.committed_at for hop in hops}
    newest: dict[tuple[str | None, str | None], float] = {}
    for game in games:
        if game.model_version is None:
            continue
        at = committed.get((game.game_id, game.revision if game.revision is not None else -1))
        key = (game.model_version, game.model_digest)
        newest[key] = max(newest.get(key, 0.0), at.timestamp() if at else 0.0)
    order = sorted(newest, key=lambda key: (newest[key], str(key)))
    return tuple(ModelIdentity(version=version, digest=digest) for version, digest in order)


def _latency(hops: Sequence[HopRow], client_times: ClientTimes) -> LatencyMs:
    received = {(hop.game_id, hop.revision): client_times.get((hop.game_id, hop.revision)) for hop in hops}
    ways = [(h.polled_at, h.queued_at, h.forecast_at, h.committed_at, received[h.game_id, h.revision]) for h in hops]
    names = ("feed_to_queue", "queue_to_forecast", "forecast_to_commit", "commit_to_client")
    parts = {name: _hop((way[place], way[place + 1]) for way in ways) for place, name in enumerate(names)}
    return LatencyMs(**parts, feed_to_client=_hop((way[0], way[4]) for way in ways))


def _slowest(rows: NightRows, client_times: ClientTimes) -> Journey | None:
    """The way of the official forecast that took longest to its commit; the page is made of rows, without any log."""
    slowest = rows.slowest
    if slowest is None:
        return None
    return build_journey(slowest, Heard(received_at=client_times.get((slowest.game_id, slowest.revision))))


def _hop(pairs: Iterable[tuple[datetime | None, datetime | None]]) -> Hop:
    spans = [(end - start).total_seconds() * 1000.0 for start, end in pairs if start and end]
    p50, p95, p99 = (percentile(spans, share) for share in (0.5, 0.95, 0.99))
    return Hop(p50=_round(p50), p95=_round(p95), p99=_round(p99), n=len(spans))


def _notes(report: NightReport) -> Iterable[str]:
    if report.simulated:
        yield "The games are of the simulated league: no real game was forecast."
    if report.n == 0:
        yield "No forecast has been settled, so there is nothing to judge."
    else:
        yield (
            f"One night proves nothing: {report.n} settled games cannot tell half a point of MAE apart,"
            " for which about 90 paired games are needed."
        )
    if report.skill is None and report.n > 0:
        yield f"Skill against persistence is not given: too few games to resample ({report.n})."
    if report.totals.undecided:
        yield f"{report.totals.undecided} games have no disposition yet: the night is not over or was cut short."
    unsettled = report.totals.forecast - report.totals.settled
    if unsettled > 0:
        yield f"{unsettled} forecasts are not settled."
    if report.totals.duplicates:
        yield f"{report.totals.duplicates} duplicate rows: an identity was broken, see the database's constraints."
    if len(report.models) > 1:
        yield f"{len(report.models)} models served this night; `model` is the one of the newest forecast."
    if report.latency_ms.feed_to_client.n == 0 and report.totals.forecast:
        yield "No client was listening when the forecasts were sent, so the last hop was not measured."
    hops = [getattr(report.latency_ms, name) for name in LatencyMs.model_fields]
    if any(hop.p50 is not None and hop.p50 < 0 for hop in hops):
        yield "A hop is shorter than nothing: the clocks of two machines disagree."


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _round(value: float | None) -> float | None:
    """Microseconds are kept: more digits would only be noise of the subtraction."""
    return None if value is None else round(value, 3)


def _uncertain(estimate: Estimate | None) -> Uncertain | None:
    if estimate is None:
        return None
    return Uncertain(
        value=estimate.value, lower=estimate.lower, upper=estimate.upper, level=estimate.level, n=estimate.n
    )
