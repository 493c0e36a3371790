"""Harvest: the games of the live feed become history once they are over, so that ratings and models learn from them.

The last snapshot of a game holds all its plays, so its row of history is a function of it. A game whose end nobody saw
is asked for again: the feed keeps the plays of games that are over.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import structlog

from flows.slate import league_today
from models.final import FinishedGame, finished_game
from models.game import Snapshot, Status
from models.recalibration import LATE_DAYS
from models.score_path import Fault
from services.feed import FeedClient
from services.feed_errors import HOST_STATES, FeedError
from services.settings import Settings
from services.store import GameRow, Store
from services.ticks import Tick
from services.wire import ScoreboardGame

log = structlog.get_logger("harvest")

METHOD = "live"


@dataclass(frozen=True)
class Harvest:
    """``games`` became history, of which the feed was asked again for ``fetched``; ``left_out`` counts the others by
    reason."""

    games: int = 0
    fetched: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """One sentence for a log."""
        out = "".join(f", {number} left out: {reason}" for reason, number in sorted(self.left_out.items()))
        return f"{self.games} finished games became history ({self.fetched} asked for again){out}"


def harvest(store: Store, settings: Settings, *, today: date | None = None) -> Harvest:
    """Every game of the feed that is over and not history yet becomes history; repeating it changes nothing.

    Games of dates before ``today`` (unset: the league's) whose end was not seen are asked of the NBA's feed. Trouble
    with the feed is logged and counted: the next run asks again. Raises StoreError.
    """
    now = today or league_today()
    open_games = store.games_without_history(settings.feed_source, now - timedelta(days=LATE_DAYS), now)
    seen = {game.game_id: store.latest_snapshot(game.game_id) for game in open_games}
    unseen = [game for game in open_games if game.league_date < now and not _over(seen[game.game_id])]
    fetched: list[Tick] = []
    if unseen and settings.feed == "nba":
        fetched = asyncio.run(_ask_again(settings.resolved_feed_url, unseen))
    for tick in fetched:
        store.record_tick(tick)
        seen[tick.game_id] = tick.snapshot
    left_out: Counter[str] = Counter()
    rows = []
    for game in open_games:
        snapshot = seen[game.game_id]
        told = finished_game(snapshot) if snapshot is not None else Fault.UNFINISHED
        if isinstance(told, FinishedGame):
            rows.append(_row(game, told))
        elif told is not Fault.UNFINISHED or game.league_date < now:
            left_out[str(told)] += 1
    store.upsert_games(rows)
    done = Harvest(len(rows), len(fetched), left_out)
    if rows or left_out:
        log.info("harvested", games=len(rows), fetched=len(fetched), left_out=dict(left_out))
    return done


def _over(snapshot: Snapshot | None) -> bool:
    return snapshot is not None and snapshot.status is Status.FINAL


def _row(game: GameRow, told: FinishedGame) -> GameRow:
    return replace(
        game,
        status="final",
        margins=told.margins,
        possession=told.possession,
        final_margin=told.home - told.away,
        home_24=told.home_24,
        away_24=told.away_24,
        home_final=told.home,
        away_final=told.away,
        n_periods=told.periods,
        score_method=METHOD,
    )


async def _ask_again(base_url: str, games: Sequence[GameRow]) -> list[Tick]:
    """The final snapshots that the feed has of ``games``, one request after the other."""
    found: list[Tick] = []
    async with FeedClient(base_url) as feed:
        for game in games:
            try:
                snapshot = (await feed.playbyplay(_line(game))).value
            except FeedError as error:
                log.warning("a finished game cannot be had", game_id=game.game_id, error=str(error))
                if isinstance(error, HOST_STATES):
                    break  # the others would fare no better
                continue
            if _over(snapshot):
                found.append(Tick(game.game_id, snapshot, game.league_date, game.source, datetime.now(UTC)))
    return found


def _line(game: GameRow) -> ScoreboardGame:
    """The game as a scoreboard that has forgotten its score: only plays that hold the game's end make it final."""
    tip_at = game.tip_at or datetime.combine(game.league_date, datetime.min.time(), UTC)
    return ScoreboardGame(
        game.game_id, Status.FINAL, "", 0, None, game.home, game.away, 0, 0, tip_at, game.league_date, postponed=False
    )
