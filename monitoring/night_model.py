"""The shape of the report of a night: the JSON that ``night --json`` prints and that is stored in `reports`."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from monitoring.journey import Journey

SIMULATED = "simulated"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NightGame(_Model):
    """One game: margins in points, home minus away; errors are actual minus forecast; the unknown is None."""

    game_id: str
    home: str
    away: str
    disposition: str | None
    reason: str | None
    minute: int | None
    revision: int | None
    point: float | None
    lower: float | None
    upper: float | None
    alpha: float | None
    actual: int | None
    actual_state: str | None
    actual_revision: int | None
    covered: bool | None
    persistence: float | None
    error: float | None
    persistence_error: float | None
    prediction_id: str | None
    path: tuple[int, ...]


class Totals(_Model):
    """Counts of the night; ``undecided`` games have no disposition (yet), ``revised`` a forecast issued
    again.
    """

    games: int
    forecast: int
    missed: int
    void: int
    undecided: int
    settled: int
    revised: int
    duplicates: int


class MinuteFigures(_Model):
    """The night's standing forecasts of one minute, ``settled`` of them settled; means over those, in points.

    ``skill`` is 1 - MSE / MSE of persistence, None also where persistence was never wrong.
    """

    minute: int
    forecasts: int
    settled: int
    mae: float | None
    mae_persistence: float | None
    rmse: float | None
    rmse_persistence: float | None
    skill: float | None
    coverage: float | None
    mean_width: float | None


class Hop(_Model):
    """Percentiles of one hop in wall-clock milliseconds over ``n`` forecasts; None when nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None
    n: int


class LatencyMs(_Model):
    """The way of a forecast: request for the play-by-play, Redis, forecaster's answer, committed row, probe."""

    feed_to_queue: Hop
    queue_to_forecast: Hop
    forecast_to_commit: Hop
    commit_to_client: Hop
    feed_to_client: Hop


class ModelIdentity(_Model):
    """The model behind the night's forecasts; None when no forecast was made."""

    version: str | None
    digest: str | None


class Uncertain(_Model):
    """A figure and its interval at confidence ``level``, from ``n`` games."""

    value: float
    lower: float
    upper: float
    level: float
    n: int


class NightReport(_Model):
    """The report of the night; ``model_dump(mode="json")`` is the JSON that ``night --json`` prints."""

    league_date: date
    source: str
    games: tuple[NightGame, ...]
    totals: Totals
    mae: float | None
    mae_persistence: float | None
    coverage: float | None
    coverage_interval: Uncertain | None
    nominal_coverage: float | None
    mean_width: float | None
    n: int
    skill: Uncertain | None
    by_minute: tuple[MinuteFigures, ...]
    latency_ms: LatencyMs
    slowest: Journey | None = None
    model: ModelIdentity
    models: tuple[ModelIdentity, ...]
    notes: tuple[str, ...]

    @property
    def simulated(self) -> bool:
        """Whether the games are of the simulated league, which a reader must be told."""
        return self.source == SIMULATED
