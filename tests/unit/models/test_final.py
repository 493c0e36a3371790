"""A finished live game becomes the row of history that the archives have of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.final import FinishedGame, finished_game
from models.game import Play, Snapshot, Status
from models.history import MARGIN_COLUMNS
from models.history_frame import recorded_held
from models.league import simulate_history, simulate_plays
from models.score_path import Fault
from services.replay_slate import build_script
from services.replay_timeline import build_timeline
from services.wire import parse_playbyplay
from tests.support.live_path import line_of

SCORES = ("home_score_24", "away_score_24", "home_score_final", "away_score_final", "n_periods")


def told(game_id: str, row: dict[Any, Any], plays: pd.DataFrame) -> FinishedGame | Fault:
    """What the live path makes of the last file of a game."""
    script = build_script(game_id, row["home"], row["away"], row["date"], plays)
    timeline = build_timeline(script)
    line = replace(
        line_of(script, Status.FINAL), home_score=row["home_score_final"], away_score=row["away_score_final"]
    )
    return finished_game(parse_playbyplay(timeline.body(len(timeline.moments)), line))


def differing(games: pd.DataFrame, plays: pd.DataFrame, corrupt: int = 0) -> list[str]:
    """Games of which the live path has otherwise any number that history has; ``corrupt`` of them may be left out."""
    held = dict(zip(games["game_id"], recorded_held(plays, games).tolist(), strict=True))
    rows: dict[Any, dict[Any, Any]] = games.set_index("game_id").to_dict("index")
    wrong = []
    for game_id, events in plays.groupby("game_id", sort=False):
        row, found = rows[game_id], told(str(game_id), rows[game_id], events)
        trained = (*(row[name] for name in MARGIN_COLUMNS), *held[str(game_id)], *(row[name] for name in SCORES))
        if isinstance(found, Fault):
            corrupt -= 1
            if found is not Fault.CORRUPT_SCORE or corrupt < 0:
                wrong.append(f"{game_id}: {found}")
            continue
        live = (
            *found.margins, *(found.possession or (0,) * 24),
            found.home_24, found.away_24, found.home, found.away, found.periods,
        )  # fmt: skip
        if live != trained:
            wrong.append(f"{game_id}: {[(a, b) for a, b in zip(live, trained, strict=True) if a != b]}")
    return wrong


@pytest.mark.parametrize("season", [2020, 2021, 2022])
def test_a_finished_live_game_is_the_row_that_training_reads(recorded: Path, season: int) -> None:
    path = recorded / f"plays_{season}.parquet"
    ids = pd.read_parquet(path, columns=["game_id"])["game_id"].unique()
    chosen = [("game_id", "in", ids[:: len(ids) // 60].tolist())]
    games = pd.read_parquet(recorded / "games.parquet", filters=[*chosen, ("score_method", "==", "score")])
    assert (games["n_periods"] > 4).any(), "overtime is among them"
    plays = pd.read_parquet(path, filters=chosen)
    # Ten games of 2022-23, four and two of the seasons before show another score for some plays in between.
    assert differing(games, plays[plays["game_id"].isin(games["game_id"])], corrupt=1) == []


def test_a_finished_simulated_game_is_the_row_that_training_reads() -> None:
    games = simulate_history([2022]).iloc[::40]
    assert differing(games, simulate_plays(games["game_id"].tolist())) == []


def final(*scores: tuple[int, int], status: Status = Status.FINAL) -> Snapshot:
    """A game with a score every six minutes."""
    plays = tuple(
        Play(place, (place * 6) // 12 + 1, place * 360.0 + 1.0, home, away) for place, (home, away) in enumerate(scores)
    )
    return Snapshot("0022600001", "BOS", "DEN", status, 4, 2880.0, True, plays)


PATH = ((2, 0), (2, 2), (4, 2), (4, 5), (7, 5), (7, 7), (9, 7), (9, 10))


def test_a_game_that_is_not_over_or_cannot_be_true_is_left_out_with_its_reason() -> None:
    assert isinstance(finished_game(final(*PATH)), FinishedGame)
    assert finished_game(final(*PATH, status=Status.LIVE)) is Fault.UNFINISHED
    assert finished_game(final(*PATH[:4])) is Fault.UNFINISHED
    assert finished_game(final(*PATH[:7], (9, 9))) is Fault.UNFINISHED, "no game ends in a draw"
    assert finished_game(final(*PATH[:7], (9, 30))) is Fault.CORRUPT_SCORE
    assert finished_game(final()) is Fault.UNFINISHED


def test_points_taken_back_stay_taken_back() -> None:
    found = finished_game(final((2, 0), (5, 0), (2, 0), (2, 2), (4, 2), (4, 5), (7, 5), (7, 8)))
    assert isinstance(found, FinishedGame)
    assert (found.margins[7], found.margins[13], found.possession) == (5, 2, None)
