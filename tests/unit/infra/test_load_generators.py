"""What the measurements ask with: a crowd that does not wait, and listeners that count."""

from __future__ import annotations

import asyncio

from benchmarks.listeners import join
from benchmarks.open_loop import NO_ANSWER, Answers, crowd, post
from services.hub import FIRST_ID, TRY_AGAIN_LATER
from tests.support.board_night import score
from tests.support.board_running import RunningBoard, running_board
from tests.support.waiting import until

ANSWER = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers each request with the next of ``statuses``, over and over; 0 ends the connection instead."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = statuses
        self.bodies: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.bodies.append(await reader.readexactly(int(head.rsplit(b":", 1)[1])))
                status = self._statuses[(len(self.bodies) - 1) % len(self._statuses)]
                if status == NO_ANSWER:
                    break
                writer.write(ANSWER % status)
        except asyncio.IncompleteReadError:
            pass
        writer.close()


async def sent(server: Server, rate: float, seconds: float) -> Answers:
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        return await crowd(port, [post("/x", b"one"), post("/x", b"two")], rate, seconds, seed=1)


async def test_a_crowd_sends_every_request_and_hears_of_each() -> None:
    server = Server(200, 503)
    answers = await sent(server, 200.0, 0.5)
    assert len(answers.statuses) == len(answers.waits_s) == len(answers.late_s) == 100
    assert answers.count(200) == answers.count(503) == 50
    assert len(answers.waits_of(503)) == 50
    assert sorted(server.bodies) == [b"one"] * 50 + [b"two"] * 50
    assert min(answers.waits_s) > 0


async def test_connections_are_used_again_until_one_ends_without_an_answer() -> None:
    server = Server(200)
    await sent(server, 100.0, 0.5)
    assert server.connections < 50
    broken = Server(200, NO_ANSWER)
    answers = await sent(broken, 100.0, 0.5)
    assert answers.count(NO_ANSWER) == answers.count(200) == 25
    assert broken.connections >= 25


async def heard(board: RunningBoard, count: int, messages: int) -> None:
    port = int(board.url.rsplit(":", 1)[1])
    listeners = await join(port, count, wanted=messages)
    for place in range(messages):
        board.add("score", "0022200760", score(home_score=45 + place))
    await asyncio.wait_for(asyncio.gather(*(one.heard.wait() for one in listeners)), 20.0)
    assert [len(one.came_at) for one in listeners] == [messages] * count
    assert all(one.greeting_bytes > 0 and one.closed is None for one in listeners)
    (late,) = await join(port, 1)
    assert late.closed == TRY_AGAIN_LATER
    for one in listeners:
        one.leave()


def test_listeners_hear_every_message_once_and_one_too_many_is_told_to_come_later() -> None:
    with running_board(max_clients=5) as board:
        board.add("score", "0022200760", score())
        until(lambda: board.live.hub.newest != FIRST_ID)
        asyncio.run(heard(board, 5, 40))
