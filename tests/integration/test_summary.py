"""The figures of /metrics/summary from a real database."""

from __future__ import annotations

from bentos.summary import summary
from services.store import Store
from tests.support.settled_night import (
    add_forecast,
    add_game,
    add_outcome,
    add_shadow,
    add_version,
    game_id,
)

LINE = "1234567890abcdef"


def test_shadows_are_neither_served_nor_settled_forecasts_of_the_platform(store: Store) -> None:
    for number in range(3):
        add_game(store, number)
        add_forecast(store, number)
        add_outcome(store, number, 6)
    before = summary(store)
    assert (before["served"], before["n_predictions"], before["avg_error"]) == (3, 3, 1.5)
    for number in range(3):
        add_shadow(store, number)
        store.settle(game_id(number))
    assert store.unsettled_shadows() == []
    assert summary(store) == before


def test_versions_of_one_line_are_one_group_under_the_version_settled_last(store: Store) -> None:
    for version, digest in (("10", "ab" * 32), ("9", "cd" * 32)):
        add_version(store, version, digest, LINE)
    add_version(store, "1", "cd" * 32, LINE, name="halftime-simulated")
    for number in range(4):
        add_game(store, number)
        add_forecast(store, number, model_version="10", model_digest="ab" * 32, alpha=0.2 if number == 3 else 0.05)
    add_game(store, 4)
    add_forecast(store, 4, model_version="9", model_digest="cd" * 32)
    for number in (4, 0, 1, 2, 3):
        add_outcome(store, number, 6)
    seen = [
        (one["lineage"], one["model_version"], one["nominal_coverage"], one["games"])
        for one in summary(store)["groups"]
    ]
    assert seen == [(LINE, "10", 0.95, 4), (LINE, "10", 0.8, 1)]


def test_a_version_the_table_does_not_know_is_a_line_of_its_own(store: Store) -> None:
    add_version(store, "3", "ab" * 32, LINE)
    for number, (version, digest) in enumerate((("3", "ab" * 32), ("2", "cd" * 32), ("1", "ef" * 32))):
        add_game(store, number)
        add_forecast(store, number, model_version=version, model_digest=digest)
        add_outcome(store, number, 6)
    seen = {(group["lineage"], group["model_version"], group["games"]) for group in summary(store)["groups"]}
    assert seen == {(LINE, "3", 1), ("2", "2", 1), ("1", "1", 1)}
