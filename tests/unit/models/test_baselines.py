import sys

import numpy as np
import pytest

from models.baselines import (
    MissingLibrary,
    gradient_boosting,
    halves,
    leads,
    linear,
    persistence,
    published_dejavu,
)
from models.mixture import Games
from models.ratings import rate_history
from tests.unit.models.builders import make_history

HISTORY = make_history(400)
GAMES = Games(HISTORY, rate_history(HISTORY)[0])
FIT, NEW = GAMES.take(slice(0, 360)), GAMES.take(slice(360, None))


def test_persistence_says_the_lead() -> None:
    assert persistence().points(NEW, 7).tolist() == NEW.history.margins[:, 7].tolist()


def test_linear_finds_what_lead_and_rating_are_worth() -> None:
    history, ratings = make_history(4000, seed=3), np.random.default_rng(0).normal(0.0, 5.0, 4000)
    margins = history.margins.copy()
    planted = np.rint(margins[:, 18] * 0.9 + 0.5 * ratings + 2.0).astype(np.int16)
    margins[:, 24] = planted
    games = Games(type(history)(**{**vars(history), "margins": margins}), ratings)
    said = linear(games, [18]).points(games, 18)
    assert np.abs(said - (margins[:, 18] * 0.9 + 0.5 * ratings + 2.0)).max() < 0.2


def test_published_dejavu_is_the_median_outcome_of_the_nearest_z_scored_patterns() -> None:
    def z(path: np.ndarray) -> np.ndarray:
        return (path - path.mean()) / path.std() if path.std() > 0 else path * 0.0

    said = published_dejavu(FIT, neighbours=40).points(NEW, 18)
    past = [z(path.astype(float)) for path in FIT.history.margins[:, :18]]
    for row in range(5):
        now = z(NEW.history.margins[row, :18].astype(float))
        distances = np.array([((now - path) ** 2).sum() for path in past])
        near = distances <= np.sort(distances)[39] + 1e-9
        assert said[row] == np.median(halves(FIT)[near])


def test_published_dejavu_knows_nothing_at_tip_off() -> None:
    assert set(published_dejavu(FIT, neighbours=40).points(NEW, 0).tolist()) == {float(np.median(halves(FIT)))}


def test_published_dejavu_takes_every_game_when_there_are_fewer_than_neighbours() -> None:
    few = FIT.take(slice(0, 30))
    assert set(published_dejavu(few).points(NEW, 18).tolist()) == {float(np.median(halves(few)))}


def test_gradient_boosting_learns_a_rule_that_no_line_can_hold() -> None:
    pytest.importorskip("sklearn")
    history = make_history(4000, seed=4)
    margins = history.margins.copy()
    margins[:, 24] = margins[:, 18] + np.where(np.abs(margins[:, 18]) > 5, -4, 4)
    games = Games(type(history)(**{**vars(history), "margins": margins}), np.zeros(4000))
    said = gradient_boosting(games, [18]).points(games, 18)
    assert np.sqrt(((said - halves(games)) ** 2).mean()) < 0.5
    assert np.sqrt(((linear(games, [18]).points(games, 18) - halves(games)) ** 2).mean()) > 3.0


def test_gradient_boosting_without_its_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingLibrary, match="scikit-learn is not installed"):
        gradient_boosting(FIT, [18])


@pytest.mark.parametrize("minute", [0, 1, 18, 23])
def test_no_forecaster_reads_margins_after_its_minute(minute: int) -> None:
    margins = NEW.history.margins.copy()
    margins[:, minute + 1 :] = 99
    changed = Games(type(NEW.history)(**{**vars(NEW.history), "margins": margins}), NEW.ratings)
    for forecaster in (
        persistence(),
        linear(FIT, [minute]),
        published_dejavu(FIT, 40),
        gradient_boosting(FIT, [minute]),
    ):
        assert np.array_equal(forecaster.points(NEW, minute), forecaster.points(changed, minute)), forecaster.name
    assert np.array_equal(leads(NEW, minute), leads(changed, minute))
