"""The array that training reads and the array that the live path builds are the same array.

Both come from different files by different roads: training from minute margins, the live path from the replayed feed's
JSON, polled every 5 s, parsed like the real feed and turned into a pattern when the official forecast falls due.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from models.league import simulate_history, simulate_plays
from services.replay_slate import Script, build_script
from tests.support.live_path import LivePath, follow

SEASONS = (2020, 2021, 2022)
GAMES = 1_000
EVERY_POLL = 30
TRAINING_CELLS = [f"diff_{minute:02d}" for minute in range(1, 19)]


def scripts(plays: pd.DataFrame, games: pd.DataFrame) -> list[tuple[Script, tuple[int, ...], int]]:
    """Each game with its training pattern and its halftime margin; rows after the half are not needed."""
    rows = games.set_index("game_id")
    found = []
    for game_id, events in plays[plays["period"] <= 2].groupby("game_id", sort=False):
        row = rows.loc[game_id]
        script = build_script(str(game_id), row["home"], row["away"], row["date"], events)
        found.append((script, tuple(int(row[cell]) for cell in TRAINING_CELLS), int(row["diff_24"])))
    return found


def recorded_scripts(data: Path, season: int, count: int) -> list[tuple[Script, tuple[int, ...], int]]:
    """``count`` games spread evenly over a season."""
    path = data / f"plays_{season}.parquet"
    ids = pd.read_parquet(path, columns=["game_id"])["game_id"].unique()
    chosen = [ids[place * len(ids) // count] for place in range(count)]
    plays = pd.read_parquet(path, filters=[("game_id", "in", chosen)])
    return scripts(plays, pd.read_parquet(data / "games.parquet", filters=[("game_id", "in", chosen)]))


def differing_cells(path: LivePath, pattern: tuple[int, ...], halftime_margin: int) -> int:
    assert path.patterns, "no official forecast fell due"
    cells = sum(live != trained for live, trained in zip(path.patterns[-1], pattern, strict=True))
    return cells + (path.halftime_margin != halftime_margin)


@pytest.mark.slow
@pytest.mark.parametrize("season", SEASONS)
def test_live_pattern_equals_training_pattern_in_every_cell(recorded: Path, season: int) -> None:
    count = GAMES // len(SEASONS) + (season == SEASONS[-1])
    games = recorded_scripts(recorded, season, count)
    assert len(games) == count
    differing = {script.game_id: differing_cells(follow(script, every=8), *trained) for script, *trained in games}
    assert {game_id: cells for game_id, cells in differing.items() if cells} == {}


@pytest.mark.parametrize("season", SEASONS)
def test_live_pattern_equals_training_pattern_when_no_poll_is_missed(recorded: Path, season: int) -> None:
    for script, *trained in recorded_scripts(recorded, season, EVERY_POLL // len(SEASONS)):
        path = follow(script)
        assert path.files > 100
        assert differing_cells(path, *trained) == 0


def test_live_pattern_equals_training_pattern_in_simulated_games() -> None:
    games = simulate_history([2022]).iloc[::60]
    plays = simulate_plays(games["game_id"].tolist())
    for script, *trained in scripts(plays, games):
        assert differing_cells(follow(script, every=2), *trained) == 0
