"""A whole season in one process: the feed's files of each game, a snapshot and a pattern at each completed minute,
its forecast, and the settlement of all of them at the half.

The season is the newest one whose plays are recorded, or 2022 of the simulated league. The files are made by the replay
feed before the clock starts; a real feed's come over the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from time import thread_time

import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.table import Row, say
from benchmarks.worlds import ensemble, league
from models.clock import HALFTIME_MINUTE
from models.ensemble import Ensemble
from models.forecast import Forecast
from models.game import Status, completed_minutes, half_over, minutes_reached, pattern, possession
from models.settlement import outcome, settle
from services.history import recorded_plays, simulated_plays
from services.replay_scribe import Action
from services.replay_slate import Script, build_script
from services.replay_timeline import Timeline, build_timeline
from services.settings import get_settings
from services.wire import ScoreboardGame, parse_playbyplay

GAMES, ALPHA, POLL_S = 16_000, 0.05, 5.0
SIMULATED_SEASON = 2022
STEPS = ("snapshot", "pattern", "forecast", "settle")


@dataclass(frozen=True)
class Played:
    """A game's scoreboard line, the files in which its minutes 0..23 and its half are first over, and its rating."""

    line: ScoreboardGame
    files: tuple[bytes, ...]
    rating: float


def run() -> list[Row]:
    """The rows of this benchmark."""
    with threadpool_limits(1):
        model, _ = ensemble(GAMES)
        spent, games, forecasts = dict.fromkeys(STEPS, 0.0), 0, 0
        for place, game in enumerate(season()):
            if place % 200 == 0:
                say(f"bench_season: game {place}")
            forecasts += play(model, game, spent)
            games += 1
    whole = sum(spent.values())
    group = f"a season, {games:,} games"
    rows = [Row(group, f"games, {forecasts / games:.0f} forecasts each", games / whole, "a second")]
    rows += [Row(group, f"{step}, a game", 1e3 * spent[step] / games, "ms") for step in STEPS]
    return rows


def play(model: Ensemble, game: Played, spent: dict[str, float]) -> int:
    """Forecast each completed minute of ``game`` and settle at its half; how many forecasts were settled. What each
    step took is added to ``spent``."""
    standing: list[tuple[Forecast, int]] = []
    for minute, body in enumerate(game.files):
        started = thread_time()
        snapshot = parse_playbyplay(body, game.line)
        parsed = thread_time()
        spent["snapshot"] += parsed - started
        if minute == HALFTIME_MINUTE:
            actual = outcome(snapshot)
            assert actual is not None, f"{game.line.game_id} has no half"
            for made, margin in standing:
                settle(
                    point=made.point, lower=made.interval.lower, upper=made.interval.upper, persistence=margin,
                    actual=actual.margin,
                )  # fmt: skip
            spent["settle"] += thread_time() - parsed
            break
        seen, held = pattern(snapshot, minute), possession(snapshot, minute)
        read = thread_time()
        made = model.forecast(seen, minute, ALPHA, game.rating, held)
        spent["pattern"] += read - parsed
        spent["forecast"] += thread_time() - read
        standing.append((made, seen[-1] if seen else 0))
    return len(standing)


def season() -> Iterator[Played]:
    """Every game of the season, in order of its plays."""
    settings, whole = get_settings(), league()
    history = whole.history
    if settings.league_source == "recorded":
        assert settings.data is not None
        newest = max(int(path.stem.removeprefix("plays_")) for path in settings.data.glob("plays_*.parquet"))
        ids = history.game_id[history.season == newest].tolist()
        plays = recorded_plays(settings.data, game_ids=ids)
    else:
        ids = history.game_id[history.season == SIMULATED_SEASON].tolist()
        plays = simulated_plays(ids)
    rows = {game_id: row for row, game_id in enumerate(history.game_id.tolist())}
    for game_id, events in plays[plays["period"] <= 2].groupby("game_id", sort=False):
        row = rows[str(game_id)]
        yield _played(_script(str(game_id), events, row), float(whole.ratings[row]))


def _script(game_id: str, events: pd.DataFrame, row: int) -> Script:
    history = league().history
    day = history.date[row].astype("datetime64[D]").item()
    return build_script(game_id, str(history.home[row]), str(history.away[row]), day, events)


def _played(script: Script, rating: float) -> Played:
    at = datetime.fromtimestamp(script.tip_s, UTC)
    line = ScoreboardGame(
        script.game_id, Status.LIVE, "", 1, None, script.home, script.away, 0, 0, at, script.league_date, False
    )
    return Played(line, tuple(_files(build_timeline(script), script, line)), rating)


def _files(timeline: Timeline, script: Script, line: ScoreboardGame) -> Iterator[bytes]:
    """What a poll every 5 s first finds when another minute is over, and at the half."""
    polls = (timeline.count(script.tip_s + POLL_S * turn) for turn in range(3600))
    wanted = 0
    for count, _ in groupby(polls):
        # Most files show no minute that is new: the newest action tells without reading them.
        if count == 0 or _minutes(timeline.newest(count).action) < wanted:
            continue
        snapshot = parse_playbyplay(timeline.body(count), line)
        done = HALFTIME_MINUTE if half_over(snapshot) else min(completed_minutes(snapshot), HALFTIME_MINUTE - 1)
        # A minute that no poll showed as the newest gets the file in which it is over, as any other.
        for _ in range(wanted, done + 1):
            yield timeline.body(count)
        wanted = max(wanted, done + 1)
        if done == HALFTIME_MINUTE:
            return
    raise AssertionError(f"game {script.game_id} never came to its half")


def _minutes(action: Action) -> int:
    over = action.period > 2 or (action.period == 2 and action.ends_period)
    return HALFTIME_MINUTE if over else minutes_reached(action.period, 720.0 * action.period - action.remaining_s)
