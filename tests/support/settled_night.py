"""A small night written through the store itself: what the live path leaves in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from models.alarms import Reference
from models.game import Play, Snapshot, Status
from services.store import ForecastRow, GameRow, ModelVersion, PredictionRow, Store

NIGHT = date(2023, 2, 3)
DIGEST = "0123456789abcdef" * 2
TEAMS = ("ATL", "BOS", "CHI", "DEN", "DET", "HOU", "IND", "LAL", "MEM", "MIA", "MIN", "NYK", "OKC", "ORL", "PHX", "POR")


@dataclass(frozen=True)
class SeenTick:
    """A tick as the store needs it."""

    snapshot: Snapshot
    polled_at: datetime


def game_id(number: int) -> str:
    """Id of the night's game ``number``."""
    return f"002220{700 + number:04d}"


def add_game(
    store: Store, number: int, *, source: str = "recorded", league_date: date = NIGHT, season: int = 2022
) -> str:
    """A scheduled game; its id."""
    home, away = TEAMS[2 * number % 16], TEAMS[(2 * number + 1) % 16]
    row = GameRow(game_id(number), source, season, "regular", league_date, home, away)
    store.upsert_games([row])
    return row.game_id


def add_tick(
    store: Store, number: int, *, period: int, t: float, ended: bool = False, seen_at: datetime | None = None,
    status: Status = Status.LIVE, margin: int = 4,
) -> None:  # fmt: skip
    """A snapshot in which the home team scored ``margin`` points in the first minute."""
    home, away = TEAMS[2 * number % 16], TEAMS[(2 * number + 1) % 16]
    plays = (Play(1, 1, 30.0, margin, 0), Play(2, period, t, margin, 0)) if period else ()
    snapshot = Snapshot(game_id(number), home, away, status, period, t, ended, plays)
    store.record_tick(SeenTick(snapshot, seen_at or datetime.now(UTC)))


def add_forecast(
    store: Store, number: int, *, revision: int = 0, pattern: tuple[int, ...] = (1,) * 17 + (4,), point: float = 4.5,
    half_width: float = 11.5, model_version: str = "3", model_digest: str = DIGEST * 2, alpha: float = 0.05,
) -> str:  # fmt: skip
    """A forecast, the official one unless the pattern is of another minute; it took 40, 25 and a few ms on its way.

    The prediction's id.
    """
    now = datetime.now(UTC)
    prediction = PredictionRow(
        id=uuid4(), request_id=f"live:{game_id(number)}:{revision}:{uuid4()}", game_id=game_id(number),
        minute=len(pattern), pattern=tuple(map(float, pattern)), home=TEAMS[2 * number % 16],
        away=TEAMS[(2 * number + 1) % 16], context={},
        alpha=alpha, point=point, lower=point - half_width, upper=point + half_width, components={},
        model_version=model_version, model_digest=model_digest, calibration_id="c1", code_version="test",
        created_at=now,
    )  # fmt: skip
    row = ForecastRow(
        game_id=game_id(number), minute=len(pattern), revision=revision, tick_digest=DIGEST,
        persistence=pattern[-1] if pattern else 0,
        polled_at=now - timedelta(milliseconds=65), queued_at=now - timedelta(milliseconds=25), forecast_at=now,
    )  # fmt: skip
    return str(store.record_forecast(prediction, row).prediction_id)


def add_shadow(store: Store, number: int, *, revision: int = 0, pattern: tuple[int, ...] = (1,) * 17 + (4,)) -> None:
    """What version 9, which is not champion, would have said: 40 points off, and sure of it."""
    now = datetime.now(UTC)
    prediction = PredictionRow(
        id=uuid4(), request_id=f"shadow:{game_id(number)}:{len(pattern)}:{revision}:9", game_id=game_id(number),
        minute=len(pattern), pattern=tuple(map(float, pattern)), home=TEAMS[2 * number % 16],
        away=TEAMS[(2 * number + 1) % 16], context={}, alpha=0.05, point=-40.0, lower=-41.0, upper=-39.0,
        components={}, model_version="9", model_digest="ef" * 32, calibration_id="c9", code_version="test",
        created_at=now,
    )  # fmt: skip
    row = ForecastRow(
        game_id=game_id(number), minute=len(pattern), revision=revision, tick_digest=DIGEST,
        persistence=pattern[-1] if pattern else 0, forecast_at=now,
    )  # fmt: skip
    assert store.record_shadow(prediction, row)


def add_version(
    store: Store, version: str, digest: str, lineage: str, name: str = "halftime",
    calibration_games: Mapping[str, int] | None = None,
) -> None:  # fmt: skip
    """A registered version, as a night's recalibration leaves it; of some, by kind of request, the games that calibrate
    it are known and how it erred on them."""
    known = calibration_games or {}
    reference = {kind: asdict(Reference(11.5, 4.5, 0.5, n)) for kind, n in known.items()} or None
    row = ModelVersion(
        name, version, digest, lineage, None, "recalibrated", NIGHT, NIGHT, f"c{version}", reference=reference
    )
    store.record_version(row)


def add_outcome(store: Store, number: int, margin: int, *, state: str = "final") -> None:
    """The halftime margin, and the settlement of what was forecast."""
    store.record_actual(game_id(number), margin, 50 + margin, 50, state=state, source="feed")
    store.settle(game_id(number))
