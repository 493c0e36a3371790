from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.settings import NBA_FEED_URL, Settings, SettingsError


def test_a_database_url_without_its_driver_is_refused_and_its_password_not_repeated() -> None:
    with pytest.raises(ValidationError, match=r"must start with postgresql\+psycopg2://") as caught:
        Settings(database_url="postgres://me:hush@there/db")
    assert "hush" not in str(caught.value)


def test_live_feed_and_replay_differ_by_one_value() -> None:
    assert Settings(feed="nba").resolved_feed_url == NBA_FEED_URL
    assert Settings(feed="replay", replay_port=1234).resolved_feed_url.startswith("http://127.0.0.1:1234/")
    assert Settings(feed="nba", feed_base_url="http://localhost:1/x/").resolved_feed_url == "http://localhost:1/x"


def test_evidently_s_pages_are_where_a_browser_is_told_to_find_them() -> None:
    assert Settings(evidently_port=1234).resolved_evidently_url == "http://127.0.0.1:1234"
    assert (
        Settings(evidently_url="https://reports.example.org/").resolved_evidently_url == "https://reports.example.org"
    )
    assert Settings(evidently_url="").evidently_url is None
    with pytest.raises(ValidationError, match="HALFTIME_EVIDENTLY_URL=javascript:alert"):
        Settings(evidently_url="javascript:alert(1)")


def test_no_feed_has_no_address_and_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match="HALFTIME_FEED"):
        _ = Settings(feed="none").resolved_feed_url


def test_only_a_replay_runs_faster_than_the_clock_on_the_wall() -> None:
    assert Settings(feed="replay", replay_speed=60).speed == 60
    assert Settings(feed="nba", replay_speed=60).speed == 1


def test_a_data_folder_without_games_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"holds no games\.parquet"):
        Settings(data=tmp_path)


def test_simulated_and_recorded_models_never_share_a_name() -> None:
    assert Settings(source="simulated").model_name != Settings(source="recorded").model_name
    assert Settings(data=None, source=None).league_source == "simulated"


def test_without_a_local_cluster_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make up"):
        _ = Settings(home=tmp_path, database_url=None).resolved_database_url


def test_a_server_on_another_host_is_asked_and_shown_under_the_address_that_is_set() -> None:
    there = Settings(forecaster_base_url="http://forecaster:8080/", board_base_url="https://board.example.org")
    assert (there.forecaster_url, there.board_url) == ("http://forecaster:8080", "https://board.example.org")
    here = Settings(forecaster_base_url="", board_base_url="", host="127.0.0.1", forecaster_port=1, board_port=2)
    assert (here.forecaster_url, here.board_url) == ("http://127.0.0.1:1", "http://127.0.0.1:2")


def test_an_address_that_is_none_is_refused_by_its_settings_name() -> None:
    with pytest.raises(ValidationError, match="HALFTIME_FORECASTER_BASE_URL=forecaster:8080 is no address"):
        Settings(forecaster_base_url="forecaster:8080")
