"""The schedule of a simulated season."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, time, timedelta

import pytest

from models.league_schedule import Fixture, closing_day, opening_day, regular_season, tip_time
from models.teams import TEAMS, TRICODES


@pytest.fixture(scope="module", params=[2014, 2022])
def fixtures(request: pytest.FixtureRequest) -> list[Fixture]:
    return regular_season(request.param, seed=15)


def test_every_team_plays_forty_one_games_at_home_and_away(fixtures: list[Fixture]) -> None:
    assert set(Counter(f.home for f in fixtures).values()) == {41}
    assert set(Counter(f.away for f in fixtures).values()) == {41}
    assert {f.home for f in fixtures} == set(TRICODES)


def test_meetings_follow_division_and_conference(fixtures: list[Fixture]) -> None:
    meetings = Counter(frozenset((f.home, f.away)) for f in fixtures)
    for pair, count in meetings.items():
        one, other = (TEAMS[t] for t in pair)
        if one.conference != other.conference:
            assert count == 2
        elif one.division == other.division:
            assert count == 4
        else:
            assert count in (3, 4)


def test_no_team_plays_twice_a_day_and_hardly_ever_three_days_running(fixtures: list[Fixture]) -> None:
    days: dict[str, list[date]] = defaultdict(list)
    for f in fixtures:
        days[f.home].append(f.date)
        days[f.away].append(f.date)
    running = 0
    for played in days.values():
        assert len(played) == len(set(played))
        running += sum(d + timedelta(days=1) in played and d + timedelta(days=2) in played for d in played)
    assert running <= 12


def test_slates_have_up_to_fifteen_games_and_many_nights_have_eight(fixtures: list[Fixture]) -> None:
    slates = Counter(f.date for f in fixtures)
    season = fixtures[0].date.year
    assert min(slates) == opening_day(season)
    assert max(slates) == closing_day(season)
    assert max(slates.values()) == slates[closing_day(season)] == 15
    assert sum(count >= 8 for count in slates.values()) >= 40
    span = (closing_day(season) - opening_day(season)).days + 1
    assert 5 <= span - len(slates) <= 20
    assert date(season, 12, 24) not in slates


def test_tip_offs_are_between_seven_and_half_past_ten_eastern(fixtures: list[Fixture]) -> None:
    tips = {tip_time(f, seed=15).time() for f in fixtures}
    assert min(tips) == time(19)
    assert max(tips) == time(22, 30)
    assert all(tip_time(f, seed=15).time() >= time(22) for f in fixtures if f.home in ("LAL", "GSW"))


def test_another_seed_gives_other_dates() -> None:
    assert regular_season(2014, seed=1) != regular_season(2014, seed=2)
    assert regular_season(2014, seed=1) == regular_season(2014, seed=1)
