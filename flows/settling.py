"""Settlement, one game at a time: from the newest snapshot to the outcome and the scores of its forecast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.game import Snapshot
from models.settlement import Outcome, outcome
from services.store import Store


@dataclass(frozen=True)
class Seen:
    """What settling a game found: ``new`` when the outcome or its state was not yet recorded."""

    new: bool
    settled: int = 0
    result: Outcome | None = None
    revision: int = 0
    official: dict[str, Any] | None = None

    def event_data(self) -> dict[str, Any]:
        """The board's ``settlement`` event."""
        assert self.result is not None
        official = self.official or {}
        return {
            "state": self.result.state.value, "revision": self.revision, "actual": self.result.margin,
            "home_24": self.result.home, "away_24": self.result.away, "error": official.get("error"),
            "covered": official.get("covered"), "point": official.get("point"), "lower": official.get("lower"),
            "upper": official.get("upper"),
        }


def settle_game(store: Store, snapshot: Snapshot, source: str = "feed") -> Seen:
    """Records the outcome ``snapshot`` shows and settles the official forecast against it; repeating changes nothing."""
    result = outcome(snapshot)
    if result is None:
        return Seen(new=False)
    recorded = store.record_actual(
        game_id=snapshot.game_id, margin=result.margin, home_24=result.home, away_24=result.away,
        state=result.state.value, source=source,
    )
    settled = store.settle(snapshot.game_id)
    return Seen(
        new=recorded.new, settled=settled.inserted, result=result, revision=recorded.revision,
        official=settled.latest,
    )


def settle_all(store: Store) -> dict[str, int]:
    """Settles every game whose newest snapshot is past the half: the reconciler that the schedule runs."""
    figures = {"games": 0, "outcomes": 0, "settlements": 0}
    for snapshot in store.snapshots_to_settle():
        seen = settle_game(store, snapshot)
        figures["games"] += 1
        figures["outcomes"] += seen.new
        figures["settlements"] += seen.settled
    return figures
