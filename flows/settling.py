"""Settlement, one game at a time: from the newest snapshot to the outcome and the scores of its forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.clock import OFFICIAL_MINUTE
from models.game import Snapshot
from models.settlement import outcome, settle
from services.store import Actual, Outcome, Overtaken, StandingForecast, Store


@dataclass(frozen=True)
class Seen:
    """What settling a game found. ``new``: the outcome or its state was not recorded.

    ``settled`` counts settlements of the ``official`` forecast; those of the other minutes are made beside it.
    """

    new: bool
    settled: int = 0
    actual: Actual | None = None
    official: StandingForecast | None = None

    def event_data(self) -> dict[str, Any]:
        """The board's ``settlement`` event."""
        assert self.actual is not None
        data: dict[str, Any] = {
            "state": self.actual.state,
            "revision": self.actual.revision,
            "actual": self.actual.margin,
            "home_24": self.actual.home_24,
            "away_24": self.actual.away_24,
            "error": None,
            "covered": None,
            "point": None,
            "lower": None,
            "upper": None,
        }
        if self.official is not None:
            made = self.official.prediction
            scored = settle(
                point=made.point,
                lower=made.lower,
                upper=made.upper,
                persistence=self.official.persistence,
                actual=self.actual.margin,
            )
            data |= {"error": scored.error, "covered": scored.covered}
            data |= {"point": made.point, "lower": made.lower, "upper": made.upper}
        return data


def settle_game(store: Store, snapshot: Snapshot, tick_id: int, source: str = "feed") -> Seen:
    """Records the outcome ``snapshot`` shows and settles the forecasts of every minute; repeating changes nothing.

    Raises Overtaken when ``tick_id``, under which it is stored, is not the game's newest tick.
    """
    result = outcome(snapshot)
    if result is None:
        return Seen(new=False)
    recorded = store.record_actual(
        snapshot.game_id,
        result.margin,
        result.home,
        result.away,
        state=result.state.value,
        source=source,
        seen=tick_id,
    )
    settled = store.settle(snapshot.game_id)
    return Seen(
        new=recorded.outcome is Outcome.RECORDED,
        settled=sum(one.minute == OFFICIAL_MINUTE for one in settled),
        actual=recorded.actual,
        official=store.latest_forecast(snapshot.game_id),
    )


def settle_all(store: Store) -> dict[str, int]:
    """Settles every game whose newest snapshot is past the half: the reconciler that the schedule runs."""
    figures = {"games": 0, "outcomes": 0, "settlements": 0}
    for one in store.unsettled_ticks():
        try:
            seen = settle_game(store, one.snapshot, one.tick_id)
        except Overtaken:
            continue  # the live path has a newer state of it in hand
        figures["games"] += 1
        figures["outcomes"] += seen.new
        figures["settlements"] += seen.settled
    return figures
