import json

import numpy as np
import pytest

from models.backtest_result import combine
from models.metrics import skill
from tests.support.seasons import made_season

SEASONS = [made_season(2020), made_season(2021, notes=("something is left out",))]
RESULT = combine("simulated", SEASONS)


def pooled(minute: int, forecaster: str) -> dict[str, float]:
    (row,) = [row for row in RESULT.pooled if (row["minute"], row["forecaster"]) == (minute, forecaster)]
    return row


def test_seasons_keep_their_rows_and_add_one_over_all_of_them() -> None:
    assert (RESULT.seasons, RESULT.minutes, RESULT.games) == ((2020, 2021), (6, 18), 240)
    assert RESULT.forecasters == ("persistence", "linear", "dejavu-published", "ensemble", "split-conformal")
    assert len(RESULT.rows) == 2 * 2 * 5
    assert len(RESULT.pooled) == len(RESULT.calibration) == 2 * 5
    assert RESULT.notes == ("something is left out",)


def test_skill_over_all_seasons_is_paired_game_by_game() -> None:
    ours, theirs = ([season.scores[18, name].squared for season in SEASONS] for name in ("ensemble", "persistence"))
    dates = np.concatenate([season.dates for season in SEASONS])
    wanted = skill(np.concatenate(ours), np.concatenate(theirs), dates)
    row = pooled(18, "ensemble")
    found = [row[f"mse_skill{end}"] for end in ("", "_lower", "_upper")]
    assert found == pytest.approx([wanted.value, wanted.lower, wanted.upper], abs=1e-12)
    assert 0.0 < row["mse_skill_lower"] < row["mse_skill"] < row["mse_skill_upper"] < 1.0


def test_every_forecaster_is_compared_with_the_linear_rule_too() -> None:
    ours, theirs = (np.concatenate([one.scores[6, name].crps for one in SEASONS]) for name in ("ensemble", "linear"))
    assert pooled(6, "ensemble")["crps_over_linear"] == pytest.approx(1 - ours.sum() / theirs.sum())
    assert pooled(6, "linear")["crps_over_linear_lower"] == pooled(6, "linear")["crps_over_linear_upper"] == 0.0
    assert pooled(6, "persistence")["crps_over_linear_upper"] < 0.0


def test_coverage_over_all_seasons_is_that_of_all_games() -> None:
    shares = [season.scores[6, "ensemble"].row["coverage_95"] for season in SEASONS]
    assert pooled(6, "ensemble")["coverage_95"] == pytest.approx(sum(shares) / 2)


def test_the_interval_score_is_compared_with_plain_split_conformal() -> None:
    plain, worse = pooled(18, "split-conformal"), pooled(18, "dejavu-published")
    ends = ("", "_lower", "_upper")
    assert [plain[f"interval_score_ratio_95{end}"] for end in ends] == [1.0] * 3
    low, ratio, high = (worse[f"interval_score_ratio_95{end}"] for end in ("_lower", "", "_upper"))
    assert 1.0 < low < ratio < high
    assert ratio == pytest.approx(worse["interval_score_95"] / plain["interval_score_95"])


def test_counts_behind_the_plots_are_of_all_games() -> None:
    for row in RESULT.calibration:
        assert sum(row["pit"]) == row["n"] == 240
        assert sum(one["n"] for one in row["home_leads"]) == 240
        assert all(0.0 <= share <= 1.0 for share in row["observed"])
        assert row["observed"] == sorted(row["observed"])


def test_conditional_coverage_is_the_ensembles() -> None:
    whole = RESULT.conditional[0]
    assert (whole["by"], whole["n"], whole["games"]) == ("all", 480, 240)
    cells = [row["coverage_95"] for row in RESULT.rows if row["forecaster"] == "ensemble"]
    assert whole["coverage"] == pytest.approx(sum(cells) / len(cells))


def test_the_result_is_plain_values() -> None:
    text = json.dumps(RESULT.as_dict(), allow_nan=False)
    assert json.loads(text)["rows"] == RESULT.rows


def test_seasons_of_different_minutes_do_not_mix() -> None:
    with pytest.raises(ValueError, match="of the same minutes and forecasters"):
        combine("simulated", [SEASONS[0], made_season(2021, minutes=(6,))])
    with pytest.raises(ValueError, match="0 seasons"):
        combine("simulated", [])


def test_the_dates_of_all_seasons_are_counted_and_too_few_of_them_give_no_range() -> None:
    assert RESULT.dates == 60
    few = combine("simulated", [made_season(2020, games=48)])
    assert few.dates == 12
    ends = [name for name in few.pooled[0] if name.endswith(("_lower", "_upper"))]
    assert len(ends) == 8
    assert {row[name] for row in few.pooled for name in ends} == {None}
    assert all(row["mse_skill"] is not None and row["interval_score_ratio_95"] > 0.0 for row in few.pooled)
    assert [list(row) for row in few.pooled] == [list(row) for row in RESULT.pooled]
    json.dumps(few.as_dict(), allow_nan=False)
    both = combine("simulated", [made_season(2020, games=48), made_season(2021, games=48)])
    assert {row["mse_skill_lower"] for row in both.rows} == {None}
    assert all(row["mse_skill_lower"] is not None for row in both.pooled)


def test_a_season_in_which_persistence_never_errs_has_no_skill_and_still_a_result() -> None:
    exact = made_season(2020)
    for (_, name), one in exact.scores.items():
        if name == "persistence":
            one.squared[:] = 0.0
    rows = {row["forecaster"]: row for row in combine("simulated", [exact]).pooled if row["minute"] == 18}
    assert rows["ensemble"]["mse_skill"] is rows["ensemble"]["mse_skill_upper"] is None
    assert rows["ensemble"]["crps_skill"] is not None
