"""The array that training reads and the array that the live path builds are the same array.

Both come from different files by different roads: training from minute margins, the live path from the replayed feed's
JSON, polled every 5 s, parsed like the real feed and turned into a pattern at each completed minute, the official one
among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.history_frame import recorded_held
from models.league import simulate_history, simulate_plays
from services.replay_slate import Script, build_script
from tests.support.live_path import LivePath, follow

GAMES = {2020: 333, 2021: 333, 2022: 334}
TRAINING_CELLS = [f"diff_{minute:02d}" for minute in range(1, 24)]
OFFICIAL = 18


@dataclass(frozen=True)
class Trained:
    """A game with what training reads of it: margin(1)..margin(23), margin(24), who has the ball at minutes 0..23."""

    script: Script
    margins: tuple[int, ...]
    halftime_margin: int
    held: tuple[int, ...]

    def differing_cells(self, path: LivePath) -> int:
        """How many of the 43 numbers the live path has otherwise."""
        assert path.patterns, "no official forecast fell due"
        live = (*path.patterns[-1], path.halftime_margin, *path.held)
        trained = (*self.margins[:OFFICIAL], self.halftime_margin, *self.held)
        return sum(one != other for one, other in zip(live, trained, strict=True))

    def differing_minutes(self, path: LivePath, *, newest: bool) -> list[int]:
        """Minutes whose last forecast was made from another pattern; without ``newest`` its last cell may differ."""
        seen = {minute: made[-1] for minute, made in path.minutes.items()}
        cells = {minute: minute if newest else max(0, minute - 1) for minute in seen}
        return [minute for minute in seen if seen[minute][: cells[minute]] != self.margins[: cells[minute]]]


def trained_games(plays: pd.DataFrame, games: pd.DataFrame) -> list[Trained]:
    """Every game of ``plays``; rows after the half are not needed."""
    rows: dict[Any, dict[Any, Any]] = games.set_index("game_id").to_dict("index")
    held = dict(zip(games["game_id"], recorded_held(plays, games).tolist(), strict=True))
    found = []
    for game_id, events in plays[plays["period"] <= 2].groupby("game_id", sort=False):
        row = rows[game_id]
        script = build_script(str(game_id), row["home"], row["away"], row["date"], events)
        margins = tuple(int(row[cell]) for cell in TRAINING_CELLS)
        found.append(Trained(script, margins, int(row["diff_24"]), tuple(held[game_id])))
    return found


def recorded_games(data: Path, season: int, count: int) -> list[Trained]:
    """``count`` games spread evenly over a season."""
    path = data / f"plays_{season}.parquet"
    ids = pd.read_parquet(path, columns=["game_id"])["game_id"].unique()
    chosen = [ids[place * len(ids) // count] for place in range(count)]
    plays = pd.read_parquet(path, filters=[("game_id", "in", chosen)])
    return trained_games(plays, pd.read_parquet(data / "games.parquet", filters=[("game_id", "in", chosen)]))


@pytest.mark.slow
@pytest.mark.parametrize(("season", "count"), GAMES.items())
def test_live_pattern_equals_training_pattern_in_every_cell(recorded: Path, season: int, count: int) -> None:
    games = recorded_games(recorded, season, count)
    assert len(games) == count
    for game in games:
        path = follow(game.script, every=8)
        assert game.differing_cells(path) == 0, game.script.game_id
        # A second free throw on the mark that no poll showed while the minute lasted makes no revision.
        assert game.differing_minutes(path, newest=False) == [], game.script.game_id


@pytest.mark.parametrize("season", GAMES)
def test_live_pattern_equals_training_pattern_when_no_poll_is_missed(recorded: Path, season: int) -> None:
    for game in recorded_games(recorded, season, 10):
        path = follow(game.script)
        assert path.files > 100
        assert game.differing_cells(path) == 0
        assert sorted(path.minutes) == list(range(24))
        assert game.differing_minutes(path, newest=True) == []


def test_live_pattern_equals_training_pattern_in_simulated_games() -> None:
    games = simulate_history([2022]).iloc[::60]
    for game in trained_games(simulate_plays(games["game_id"].tolist()), games):
        path = follow(game.script, every=2)
        assert game.differing_cells(path) == 0
        assert game.differing_minutes(path, newest=False) == []
