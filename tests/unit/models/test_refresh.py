"""New games in Dejavu's memory: what calibrates is not remembered, and nothing later than the date is read."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from models.history import History
from models.refresh import NothingNew, refresh
from tests.support.small_model import small_ensemble, small_history

MODEL = small_ensemble()
LONGER = small_history(420)
AS_OF = LONGER.last_date - timedelta(days=10)


def test_the_memory_grows_by_what_the_newest_games_push_out() -> None:
    done = refresh(MODEL, LONGER, AS_OF, window=60)
    before, after = MODEL.mixture.dejavu, done.ensemble.mixture.dejavu
    assert done.games_added == len(after.game_id) - len(before.game_id) > 0
    assert set(before.game_id.tolist()) <= set(after.game_id.tolist())
    for games in done.ensemble.calibration.values():
        assert not set(games.errors.game_ids) & set(after.game_id.tolist())


def test_a_refreshed_model_has_seen_nothing_on_or_after_its_date() -> None:
    done = refresh(MODEL, LONGER, AS_OF, window=60).ensemble
    assert done.trained_through < AS_OF
    assert done.ratings_as_of is not None
    assert done.ratings_as_of <= AS_OF
    late = LONGER.date >= np.datetime64(AS_OF, "D")
    other = History(**{
        name: getattr(LONGER, name) for name in
        ("game_id", "season", "season_type", "date", "home", "away", "final_margin", "possession", "source")
    }, margins=np.where(late[:, None], -LONGER.margins, LONGER.margins))  # fmt: skip
    again = refresh(MODEL, other, AS_OF, window=60).ensemble
    assert (again.lineage, again.calibration_id) == (done.lineage, done.calibration_id)


def test_a_refresh_is_another_lineage_with_the_same_network_weights_and_ledgers() -> None:
    done = refresh(MODEL, LONGER, AS_OF, window=60).ensemble
    assert done.lineage != MODEL.lineage
    assert done.mixture.lstm is MODEL.mixture.lstm
    assert done.mixture.weights == MODEL.mixture.weights
    assert done.ledgers == MODEL.ledgers
    assert set(done.calibration) == set(MODEL.calibration)


def test_without_new_games_there_is_nothing_to_refresh() -> None:
    with pytest.raises(NothingNew, match="remembered"):
        refresh(MODEL, small_history(), date(2030, 1, 1), window=60)
    with pytest.raises(ValueError, match="cannot remember"):
        refresh(MODEL, _recorded(LONGER), AS_OF)


def _recorded(history: History) -> History:
    return History(
        history.game_id, history.season, history.season_type, history.date, history.home, history.away,
        history.margins, history.final_margin, history.possession, source="recorded",
    )  # fmt: skip
