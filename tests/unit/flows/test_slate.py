from datetime import date
from pathlib import Path

import pytest

from flows.slate import RECORDED_NIGHT, NoSlate, check_night, pick_night
from services.settings import Settings


def simulated() -> Settings:
    return Settings(source="simulated", data=None)


def test_the_simulated_night_has_eight_to_ten_games_and_is_always_the_same() -> None:
    night = pick_night(simulated())
    assert night == pick_night(simulated())
    check_night(simulated(), night)


def test_a_date_without_games_names_the_nearest_that_have() -> None:
    with pytest.raises(NoSlate, match=r"nearest: \d{4}-\d{2}-\d{2} \(\d+ games\)"):
        check_night(simulated(), date(2022, 8, 1))


def test_the_recorded_night_is_the_short_one(recorded: Path) -> None:
    settings = Settings(data=recorded, source="recorded")
    assert pick_night(settings) == RECORDED_NIGHT
    check_night(settings, RECORDED_NIGHT)


def test_a_replay_of_recorded_games_without_them_says_what_to_set() -> None:
    with pytest.raises(NoSlate, match="HALFTIME_DATA"):
        pick_night(Settings(source="recorded", data=None))
