"""The figures of /metrics/summary from a real database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bentos.summary import summary
from monitoring.facts import read_facts
from services.store import Store
from tests.support.settled_night import (
    NIGHT,
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


def test_the_figures_are_those_of_the_exporters_season_while_it_has_no_more_games_than_they(store: Store) -> None:
    for version, digest in (("3", "ab" * 32), ("4", "cd" * 32)):
        add_version(store, version, digest, LINE)
    for number in range(30):
        add_game(store, number, league_date=NIGHT - timedelta(days=2 * number))
        version, digest = ("3", "ab" * 32) if number > 9 else ("4", "cd" * 32)
        for minute, width in ((7, 9.5), (18, 8.5 if number % 2 else 11.5)):
            add_forecast(
                store, number, pattern=(3,) * minute, half_width=width, alpha=0.2 if number == 1 else 0.05,
                model_version=version, model_digest=digest,
            )  # fmt: skip
        add_outcome(store, number, number - 12, state="provisional")
        if number % 3 == 0:
            add_outcome(store, number, number - 11)
    # An outcome that was corrected and is not settled again is of no figure, here as there.
    store.record_actual(game_id(5), 40, 90, 50, state="final", source="feed")
    facts = read_facts(store.engine)
    groups = summary(store)["groups"]
    assert [(one["minute"], one["nominal_coverage"], one["games"]) for one in groups] == [
        (7, 0.95, 28), (7, 0.8, 1), (18, 0.95, 28), (18, 0.8, 1),
    ]  # fmt: skip
    rows = [row for row in facts.windows if (row.by, row.window) == ("lineage", "season")]
    season = {(row.minute, round(1 - row.alpha, 6)): row for row in rows}
    for group in groups:
        row = season[group["minute"], round(group["nominal_coverage"], 6)]
        assert (group["lineage"], group["games"]) == (row.model, row.games)
        assert group["coverage"] == pytest.approx(row.covered / row.games)
        for name in ("mae", "rmse", "mae_persistence", "mean_width"):
            assert group[name] == pytest.approx(getattr(row, name)), name
