"""Two boards behind one nginx: one is killed, the other rolled, and every listener hears every message once."""

from __future__ import annotations

import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from services.broadcast import Broadcast, Event
from tests.support.balanced import Platform, Replica
from tests.support.board_night import score
from tests.support.board_process import BoardProcess
from tests.support.listeners import Listener, listening, messages
from tests.support.rows import GAME
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(600)
LISTENERS, PACE_S = 24, 0.05
CLIENTS, SENT, DROPPED = (
    "halftime_board_clients",
    "halftime_board_messages_sent_total",
    "halftime_board_clients_dropped_total",
)
Board = Replica[BoardProcess]


class Teller:
    """Tells one score after the other at a steady pace; ``told`` is the last one."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._stop = threading.Event()
        self.told = -1
        # The first word of a game makes it known, as a state.
        self._tell()

    def _tell(self) -> None:
        data = score(home_score=self.told + 1)
        self._broadcast.publish(Event("score", GAME, datetime.now(UTC), data))
        self.told += 1

    def more(self, number: int) -> None:
        """Returns when so many further ones are told."""
        wanted = self.told + number
        until(lambda: self.told >= wanted, 60.0)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tells for as long as the block runs."""

        def tell() -> None:
            while not self._stop.wait(PACE_S):
                self._tell()

        thread = threading.Thread(target=tell, name="teller", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(20)


@dataclass(frozen=True)
class Ended:
    """A board's life: what it said last that it had sent, what was heard of it in all, and how much could have been
    sent after it said so."""

    sent: int
    heard: int
    since: int


def clients(platform: Platform) -> list[int]:
    """How many listen to each board, as the boards say."""
    return [int(board.page().only(CLIENTS)) for board in platform.boards]


def sent(platform: Platform) -> Counter[str]:
    """Messages sent by each board since it began, by address."""
    return Counter({address(board): int(board.page().only(SENT)) for board in platform.boards})


def address(board: Board) -> str:
    return f"127.0.0.1:{board.port}"


def ended(board: Board, end: Callable[[], None], teller: Teller, everyone: list[Listener]) -> Ended:
    """Ends it in the midst of the telling, and waits until nobody is on it any more."""
    before, page = teller.told, board.page()
    # What it had queued by then is on its way before it ends.
    teller.more(3)
    end()
    until(lambda: all(one.on != address(board) for one in everyone))
    # A heartbeat may come in between, too.
    each = teller.told - before + 1
    return Ended(int(page.only(SENT)), messages(everyone)[address(board)], each * int(page.only(CLIENTS)))


def say(text: str) -> None:
    print(f"    {text}", flush=True)  # noqa: T201 - a drill is watched


def test_every_listener_hears_every_message_once_though_boards_are_killed_and_rolled(platform: Platform) -> None:
    teller = Teller(platform.broadcast)
    until(lambda: all(GAME in board.running.get("/api/games").text for board in platform.boards))
    url = platform.balancer.url.replace("http", "ws") + "/ws"
    crowd, away = [Listener(url) for _ in range(LISTENERS)], Listener(url)
    everyone, lives = [*crowd, away], []
    began: Counter[str] = Counter()
    with listening([away]):
        until(lambda: away.greetings == ["state"])
    with ExitStack() as stack:
        stack.enter_context(listening(crowd))
        until(lambda: sum(clients(platform)) == LISTENERS and all(one.greetings for one in crowd), 60.0)
        assert min(clients(platform)) > 0
        with teller.telling():
            teller.more(40)
            killed, rolled = platform.boards
            for board, end in ((killed, killed.kill), (rolled, rolled.end)):
                lives.append(ended(board, end, teller, everyone))
                began[address(board)] = lives[-1].heard
                board.start()
                until(lambda: sum(clients(platform)) == LISTENERS, 60.0)
                teller.more(40)
            # Both boards are younger than what the one that was away has heard.
            stack.enter_context(listening([away]))
            until(lambda: away.scores)
            teller.more(40)
        everything = list(range(1, teller.told + 1))
        until(lambda: all(one.scores[-1:] == everything[-1:] for one in everyone), 60.0)
        assert [one.scores for one in everyone] == [everything] * (LISTENERS + 1)
        # Since they began anew they say they sent what was heard of them, to the message.
        until(lambda: sent(platform) == messages(everyone) - began)
    assert sum(one.twice for one in everyone) == 0
    # Nobody was given the state in place of what was missed.
    assert {tuple(one.greetings[:1]) for one in everyone} == {("state",)}
    assert {greeting for one in everyone for greeting in one.greetings[1:]} == {"resumed"}
    for life in lives:
        assert life.sent <= life.heard <= life.sent + life.since
    assert sum(board.page().only(DROPPED) for board in platform.boards) == 0
    until(lambda: sum(clients(platform)) == 0)
    silences = [max(one.silences) for one in crowd]
    say(
        f"{LISTENERS} listeners, and one that was away, heard {teller.told} scores each, once and in order;"
        f" silence {max(silences):.2f} s at most, {statistics.median(silences):.2f} s in the median"
    )
    say(
        f"boards: {sum(sent(platform).values())} messages sent since they began anew, all heard; before, "
        + " and ".join(f"{life.sent} said and {life.heard} heard (at most {life.sent + life.since})" for life in lives)
    )
