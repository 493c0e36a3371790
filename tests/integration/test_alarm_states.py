"""Alarm states move with the settlements: once a game, in order, and back when an outcome is corrected."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import text

from models.alarm_streams import ALL, COVERAGE, DRIFT, Answered, Stream, moved, reference_of, references
from models.alarms import Detector
from services.store import ModelVersion, Store
from tests.support.lifecycle_world import honest
from tests.support.settled_night import NIGHT, add_forecast, add_game, add_outcome, add_shadow

LINE = "0123456789abcdef"
DIGEST = "ab" * 32


def version(store: Store, number: int, digest: str, reference: bool = True) -> None:
    known = references(honest()) if reference else None
    store.record_version(
        ModelVersion("halftime", str(number), digest, LINE, None, "trained", NIGHT, NIGHT, "c1", reference=known)
    )


def games(store: Store, margins: list[int], first: int = 0) -> None:
    """Official forecasts of 4 points, +- 20, each settled at its margin."""
    for place, margin in enumerate(margins, first):
        add_game(store, place)
        add_forecast(store, place, point=4.0, half_width=20.0, model_digest=DIGEST)
        add_outcome(store, place, margin)


def states(store: Store) -> dict[Stream, Detector]:
    return {state.stream: state.detector for state in store.alarms()}


def counted(margins: list[int]) -> dict[Stream, Detector]:
    """What the alarms say after these outcomes, computed at once."""
    known = reference_of(references(honest()), False, False)
    seen = [Answered(18, abs(margin - 4) <= 20, margin - 4.0, 4.0, "regular", NIGHT, known) for margin in margins]
    return moved({}, 0.05, seen)


MARGINS = [4, 30, 7, -20, 5, 3, 44, 9]


def test_each_settlement_moves_the_alarms_once(store: Store) -> None:
    version(store, 1, DIGEST)
    games(store, MARGINS)
    assert states(store) == counted(MARGINS)
    for place, margin in enumerate(MARGINS):
        add_outcome(store, place, margin)
    assert states(store) == counted(MARGINS), "settling again changes nothing"
    official = states(store)[Stream(COVERAGE, ALL)]
    assert (official.n, official.log_evidence == counted(MARGINS)[Stream(COVERAGE, ALL)].log_evidence) == (8, True)
    assert {stream.alarm for stream in states(store)} == {COVERAGE, *DRIFT}


def test_a_corrected_outcome_is_counted_as_corrected(store: Store) -> None:
    version(store, 1, DIGEST)
    games(store, MARGINS)
    corrected = [*MARGINS]
    corrected[1] = 6
    add_outcome(store, 1, 6)
    assert states(store) == counted(corrected)
    games(store, [50], first=len(MARGINS))
    assert states(store) == counted([*corrected, 50])


def test_without_a_reference_only_coverage_is_watched(store: Store) -> None:
    version(store, 1, DIGEST, reference=False)
    games(store, MARGINS)
    assert {stream.alarm for stream in states(store)} == {COVERAGE}


def test_a_recalibrated_version_goes_on_where_its_line_was(store: Store) -> None:
    version(store, 1, DIGEST)
    games(store, MARGINS)
    version(store, 2, "cd" * 32, reference=False)
    add_game(store, 40)
    add_forecast(store, 40, point=4.0, half_width=20.0, model_digest="cd" * 32, model_version="2")
    add_outcome(store, 40, 99)
    assert states(store) == counted([*MARGINS, 99])


def test_shadows_say_nothing(store: Store) -> None:
    version(store, 1, DIGEST)
    games(store, MARGINS)
    add_shadow(store, 0)
    store.settle(store.games_on(NIGHT)[0].game_id)
    assert states(store) == counted(MARGINS)


def test_games_settled_at_once_are_each_counted_in_the_order_of_their_settlements(store: Store) -> None:
    version(store, 1, DIGEST)
    margins = np.random.default_rng(1).integers(-40, 40, 24).tolist()
    for place in range(len(margins)):
        add_game(store, place)
        add_forecast(store, place, point=4.0, half_width=20.0, model_digest=DIGEST)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda place: add_outcome(store, place, margins[place]), range(len(margins))))
    with store.engine.begin() as connection:
        ordered = connection.execute(
            text("SELECT a.margin FROM settlements s JOIN actuals a ON a.id = s.actual_id ORDER BY s.id")
        ).scalars().all()  # fmt: skip
    assert states(store) == counted(list(ordered))


def test_a_state_that_is_none_is_refused_by_name(store: Store) -> None:
    version(store, 1, DIGEST)
    games(store, [4])
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alarm_states SET state = '{}'"))
    with pytest.raises(ValueError, match="alarm's state"):
        store.alarms()
