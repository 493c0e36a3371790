import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pytest

from services.feed import FeedClient
from services.replay_control import ReplayControl, ReplayError
from services.settings import ROOT

COMMAND = [sys.executable, "-m", "services.replay"]


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """A replay in its own process; gives the base URL of its feed."""
    process = subprocess.Popen(
        [*COMMAND, "--simulated", "--port", "0", *options], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        named = re.search(r"http://127\.0\.0\.1:\d+\S+", line)
        assert named, line
        yield named[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


async def test_a_replay_is_served_on_loopback_and_held_until_it_is_started() -> None:
    with serving("--hold", "--speed", "600", "--misbehave", "truncated*1:playbyplay") as url:
        control = ReplayControl(url.partition("/static")[0])
        state = control.wait_ready(20)
        assert (state.started, state.finished, state.source) == (False, False, "simulated")
        assert state.league_date == date(2023, 2, 3)
        async with FeedClient(url) as feed:
            assert len((await feed.scoreboard()).value) == len(state.games)
        assert control.start().started
        assert control.state().feed_now > state.feed_now
        control.misbehave("blocked@1h")
        with pytest.raises(ReplayError, match="kinds are"):
            control.misbehave("nonsense")
        control.close()


def test_a_replay_that_is_not_there_is_an_error_that_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ReplayError, match="is it running"):
            ReplayControl(f"http://127.0.0.1:{free.getsockname()[1]}").wait_ready(0.2)


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_help_shows_an_example() -> None:
    shown = " ".join(run("--help").stdout.split())
    assert "Example: python -m services.replay --date 2023-02-03" in shown


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        failed = run("--simulated", "--port", str(port))
    assert failed.returncode == 2
    assert f"port {port}" in failed.stderr
    assert "--port" in failed.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--simulated", "--date", "2023-07-20"), "nearest dates"),
        (("--simulated", "--misbehave", "nonsense"), "kinds are"),
        (("--data", "/nonexistent"), "--simulated"),
    ],
)
def test_what_cannot_be_shown_is_explained(options: tuple[str, ...], said: str) -> None:
    failed = run(*options)
    assert failed.returncode == 2
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr
