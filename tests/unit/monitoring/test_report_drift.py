"""How often clean weeks are flagged, and that what is planted in a league is found: effect sizes over whole seasons."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wasserstein_distance

from models.history import MARGIN_COLUMNS, History
from models.planting import harder
from models.ratings import rate_history
from monitoring.report_figures import bias_bound, coverage_bounds, drift_threshold, width_bound
from monitoring.report_frames import DRIFT_COLUMNS, history_frame
from monitoring.reports import MIN_DRIFT_GAMES, build_evidently_report
from services.history import simulated_games

COMPARED = [name for name in DRIFT_COLUMNS if name != "residual"]
REFERENCE_GAMES = 1300
CLEAN_SHARE = 0.03
"""Of weeks in which nothing was planted at most so many may be flagged."""


def framed(games: pd.DataFrame, source: str) -> pd.DataFrame:
    ratings = rate_history(History.from_frame(games, source))[0]
    totals = (games["home_score_24"] + games["away_score_24"]).to_numpy()
    frame = history_frame(games[list(MARGIN_COLUMNS)].to_numpy(), 18, totals=totals, ratings=ratings)
    return frame.assign(season=games["season"].to_numpy(), date=games["date"].to_numpy())


@cache
def simulated() -> pd.DataFrame:
    return simulated_games(1, range(2018, 2023)).sort_values(["date", "game_id"]).reset_index(drop=True)


def effect(week: pd.DataFrame, reference: pd.DataFrame, column: str) -> float:
    return float(wasserstein_distance(week[column], reference[column]) / reference[column].std(ddof=0))


def weeks_flagged(frame: pd.DataFrame, seasons: list[int]) -> list[set[str]]:
    """Of each week of seven league dates the columns that drifted from the 1300 games before the season."""
    flagged = []
    for season in seasons:
        reference = frame[frame["season"] < season].tail(REFERENCE_GAMES)
        days = sorted(set(frame.loc[frame["season"] == season, "date"]))
        for start in range(0, len(days), 7):
            week = frame[frame["date"].isin(days[start : start + 7])]
            if len(week) >= MIN_DRIFT_GAMES:
                threshold = drift_threshold(len(week), len(reference))
                flagged.append({name for name in COMPARED if effect(week, reference, name) >= threshold})
    return flagged


def test_of_the_weeks_of_four_clean_seasons_few_are_flagged() -> None:
    found = weeks_flagged(framed(simulated(), "simulated"), [2019, 2020, 2021, 2022])
    assert len(found) > 95
    assert sum(map(bool, found)) <= CLEAN_SHARE * len(found)


def test_of_the_weeks_of_a_league_that_moves_more_nearly_all_are_flagged() -> None:
    games = simulated()
    planted = harder(games, games.loc[games["season"] == 2022, "date"].min(), 1.8)
    found = weeks_flagged(framed(planted, "simulated"), [2022])
    assert sum("volatility" in week for week in found) > 0.9 * len(found)


def test_of_the_weeks_of_a_league_that_scores_more_nearly_all_are_flagged_by_pace_alone() -> None:
    frame = framed(simulated(), "simulated")
    found = weeks_flagged(frame.assign(pace=frame["pace"] + 0.5 * (frame["season"] == 2022)), [2022])
    assert sum("pace" in week for week in found) > 0.9 * len(found)
    assert sum(bool(week - {"pace"}) for week in found) <= CLEAN_SHARE * len(found)


def test_what_is_walked_here_is_what_evidently_computes() -> None:
    frame = framed(simulated(), "simulated")
    reference = frame[frame["season"] == 2021]
    week = frame[frame["season"] == 2022].head(50)
    week = week.assign(point=week["lead"], persistence=week["lead"], lower=-50.0, upper=50.0, covered=1.0)
    report = build_evidently_report(week, reference, window="week")
    assert [one["column"] for one in report.body["drift"]] == COMPARED
    for one in report.body["drift"]:
        assert one["distance"] == pytest.approx(effect(week, reference, one["column"]), rel=0.01)


def test_of_nine_recorded_seasons_patterns_never_drift_and_pace_did_when_the_league_did(recorded: Path) -> None:
    games = pd.read_parquet(recorded / "games.parquet").sort_values(["date", "game_id"]).reset_index(drop=True)
    found = weeks_flagged(framed(games, "recorded"), list(range(2014, 2023)))
    assert len(found) > 200
    assert sum(bool(week - {"pace"}) for week in found) <= CLEAN_SHARE * len(found)
    # The league's scoring rose by 0.3 to 0.4 standard deviations in 2016-17, 2018-19 and 2022-23.
    assert 5 <= sum("pace" in week for week in found) <= 20


def test_bounds_of_the_tests_widen_for_few_games() -> None:
    assert coverage_bounds(5, 0.05) == (0.6, 1.0)
    low, high = coverage_bounds(1300, 0.05)
    assert 0.93 < low < 0.94
    assert 0.96 < high < 0.97
    errors = np.random.default_rng(1).normal(0, 6, 1300)
    games = pd.DataFrame({"actual": errors, "point": 0.0})
    assert bias_bound(games.head(20)) > 1.3 * bias_bound(games)
    assert bias_bound(games) == pytest.approx(1.5, rel=0.1)
    assert width_bound(None, 0.05) is None
    known = pd.DataFrame({"actual": errors, "lead": 0.0})
    assert width_bound(known, 0.05) == pytest.approx(1.25 * 2 * 1.96 * 6, rel=0.1)
