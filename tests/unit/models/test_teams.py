"""The thirty franchises."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from models.teams import FORMER_TRICODES, TEAMS, TRICODES, UnknownTeamError, is_team, team, team_by_id


def test_thirty_teams_in_six_divisions_of_five() -> None:
    assert len(TEAMS) == 30
    assert set(Counter((t.conference, t.division) for t in TEAMS.values()).values()) == {5}


def test_team_ids_are_the_feeds_thirty_consecutive_numbers() -> None:
    assert sorted(t.team_id for t in TEAMS.values()) == list(range(1610612737, 1610612767))
    assert all(team_by_id(t.team_id) is t for t in TEAMS.values())


def test_former_tricodes_lead_to_a_team_of_today() -> None:
    assert team("NJN").name == "Nets"
    assert all(is_team(old) and team(old).tricode in TRICODES for old in FORMER_TRICODES)


def test_an_unknown_team_is_named() -> None:
    with pytest.raises(UnknownTeamError, match="'XYZ'"):
        team("XYZ")
    with pytest.raises(UnknownTeamError, match="12345"):
        team_by_id(12345)
    assert not is_team("")


def test_recorded_games_hold_these_teams_and_no_others(recorded: Path) -> None:
    games = pd.read_parquet(recorded / "games.parquet", columns=["home", "away"])
    assert set(games["home"]) == set(games["away"]) == set(TRICODES)
