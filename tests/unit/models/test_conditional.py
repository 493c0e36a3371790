import numpy as np
import pytest

from models.conditional import Answered, Kind, conditional_coverage, wilson


def answered(n: int = 600, **changes: object) -> Answered:
    """Forecasts of two minutes for n / 2 games: 95% intervals of standard normal errors."""
    chance = np.random.default_rng(1)
    games = np.arange(n) // 2
    actual = chance.normal(0.0, 10.0, n)
    point = actual + chance.normal(0.0, 1.0, n)
    values: dict[str, object] = {
        "game_id": np.char.add("00222", np.char.zfill(games.astype(str), 5)),
        "season": np.full(n, 2022),
        "season_type": np.where(games >= n // 2 - 30, "playoffs", "regular"),
        "date": np.datetime64("2022-10-18") + games // 5,
        "minute": np.arange(n) % 2 * 18,
        "lead": np.round(chance.normal(0.0, 8.0, n)),
        "rating": np.where(games % 7 == 0, np.nan, chance.normal(2.0, 5.0, n)),
        "lower": point - 1.96,
        "upper": point + 1.96,
        "actual": actual,
    }
    return Answered(**{**values, **changes})  # type: ignore[arg-type]


def found(kinds: list[Kind], by: str) -> dict[str, Kind]:
    return {kind.kind: kind for kind in kinds if kind.by == by}


def test_every_forecast_is_in_exactly_one_kind_of_each_sort() -> None:
    kinds = conditional_coverage(answered(), 0.05)
    assert {kind.by for kind in kinds} == {"all", "minute", "lead size", "season phase", "favourite"}
    for by in {kind.by for kind in kinds}:
        of_sort = found(kinds, by).values()
        assert sum(kind.n for kind in of_sort) == 600
        assert sum(kind.n * kind.coverage for kind in of_sort) == pytest.approx(600 * kinds[0].coverage)


def test_a_kind_that_is_badly_served_shows_though_the_average_is_right() -> None:
    seen = answered()
    close = np.abs(seen.lead) < 3
    lower = np.where(close, seen.actual + 0.5, seen.lower)
    kinds = found(conditional_coverage(answered(lower=lower, upper=lower + 4.0), 0.05), "lead size")
    assert kinds["0-2"].coverage == 0.0
    assert kinds["0-2"].coverage_upper < 0.1
    assert kinds["3-5"].coverage > 0.8


def test_phases_are_thirds_of_the_regular_games_by_date_and_the_playoffs() -> None:
    phases = found(conditional_coverage(answered(), 0.05), "season phase")
    assert list(phases) == ["first third", "second third", "last third", "playoffs"]
    assert phases["playoffs"].n == 60
    assert [phases[f"{name} third"].n for name in ("first", "second", "last")] == [180, 180, 180]


def test_phases_are_told_for_each_season_by_itself() -> None:
    seen = answered()
    later = np.arange(600) >= 300
    two = answered(season=np.where(later, 2022, 2021), season_type=np.full(600, "regular"))
    phases = found(conditional_coverage(two, 0.05), "season phase")
    assert [phases[f"{name} third"].n for name in ("first", "second", "last")] == [200, 200, 200]
    assert "playoffs" not in phases
    assert len(seen.actual) == 600


def test_the_favourite_is_read_from_the_rating() -> None:
    rating = np.repeat([3.0, -3.0, 0.5, np.nan], 150)
    sides = found(conditional_coverage(answered(rating=rating), 0.05), "favourite")
    assert {name: kind.n for name, kind in sides.items()} == {"home": 150, "away": 150, "nobody": 150, "not rated": 150}


def test_width_and_interval_score_are_those_of_the_kind() -> None:
    seen = answered()
    early = seen.minute == 0
    minutes = found(conditional_coverage(answered(upper=seen.lower + np.where(early, 20.0, 10.0)), 0.05), "minute")
    assert minutes["0"].mean_width == pytest.approx(20.0)
    assert minutes["18"].mean_width == pytest.approx(10.0)
    assert minutes["0"].interval_score >= 20.0


def test_the_range_counts_games_because_forecasts_of_one_game_miss_together() -> None:
    whole = conditional_coverage(answered(), 0.05)[0]
    assert (whole.n, whole.games) == (600, 300)
    assert (whole.coverage_lower, whole.coverage_upper) == wilson(whole.coverage, 300)


@pytest.mark.parametrize(
    ("hits", "n", "expected"), [(0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (81, 263, (0.2553, 0.3662))]
)
def test_the_wilson_range_is_the_published_one(hits: int, n: int, expected: tuple[float, float]) -> None:
    # 81 of 263: Newcombe 1998, Statistics in Medicine 17, table I.
    assert wilson(hits / n, n) == pytest.approx(expected, abs=5e-5)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="unequal length"):
        answered(lead=np.zeros(3))
