"""The requests of one night as the forecaster got them: recorded from a replay on the real stack, kept as a file.

    python -m benchmarks.request_trace [--speed 30] [--date 2023-02-28]

plays a night of the simulated league as `./halftime replay` does, on a stack of its own, and writes
``benchmarks/data/request_trace.json``. A request's time is that of its line in the forecaster's log of predictions, put
on the feed's clock; the forecaster's own counter says beside it how many it answered and refused, so that a line that
is missing shows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.measured import DATA, MeasuredFileError, read_measured, write_measured
from benchmarks.table import say
from flows.slate import pick_night
from models.clock import HALFTIME_MINUTE
from services.prediction_log import log_path
from services.replay_control import ReplayControl, ReplayState
from tests.support.night_held import GO, HELD
from tests.support.night_home import NightHome, finish, night_home

PATH = DATA / "request_trace.json"
AGAIN = "python -m benchmarks.request_trace"
SPEED, LOOKS = 30.0, 20
LONGEST_S = 1800.0
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Asked(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A request: ``at_s`` feed seconds after the night's first tip-off, and the forecast it asked for."""

    at_s: float
    game_id: str
    minute: Annotated[int, msgspec.Meta(ge=0, lt=HALFTIME_MINUTE)]


class Trace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recorded night. ``answers`` are the forecaster's answers to POST /predict by status, whether logged or not;
    ``requests`` are in the order of their times."""

    league: str
    seed: int
    league_date: date
    games: tuple[str, ...]
    speed: Positive
    poll_interval_s: Positive
    recorded_on: date
    answers: dict[str, int]
    requests: tuple[Asked, ...]

    def moments(self) -> list[tuple[float, int]]:
        """(seconds after the first tip-off, minute) of each request."""
        return [(asked.at_s, asked.minute) for asked in self.requests]


def read_trace(path: Path = PATH) -> Trace:
    """A recorded night. Raises MeasuredFileError, which says what is wrong with the file."""
    trace = read_measured(path, Trace, AGAIN)
    for place, asked in enumerate(trace.requests):
        where = f"{path.name}: request {place} (game {asked.game_id}, minute {asked.minute})"
        if asked.game_id not in trace.games:
            raise MeasuredFileError(f"{where} is of no game of that night: make it anew with `{AGAIN}`")
        if place and asked.at_s < trace.requests[place - 1].at_s:
            raise MeasuredFileError(f"{where} came at {asked.at_s} s, before the one above it: sort them by time")
    answered = trace.answers.get("200", 0)
    if not trace.requests or len(trace.requests) > answered:
        raise MeasuredFileError(
            f"{path.name} holds {len(trace.requests)} requests and says that {answered} were answered: make it anew"
            f" with `{AGAIN}`"
        )
    return trace


def record(speed: float, day: date | None = None) -> Trace:
    """Play a night of the simulated league on a stack of its own; some minutes. AssertionError when it fails."""
    with night_home(None) as home:
        settings = home.settings()
        night = day or pick_night(settings)
        with _held(home, night, speed):
            assert home.folder.is_dir()
            state, shift_s = _clock(settings.replay_url)
            first_s = min(game.tip_at for game in state.games).timestamp()
            lines = log_path(home.folder / "logs", night).read_text(encoding="ascii").splitlines()
            asked = [
                Asked(round(speed * _wall_s(line) + shift_s - first_s, 1), line["game_id"], line["minute"])
                for line in map(json.loads, lines)
            ]
            answers = _answers(f"{settings.forecaster_url}/metrics")
    return Trace(
        league="simulated",
        seed=settings.simulated_seed,
        league_date=night,
        games=tuple(game.game_id for game in state.games),
        speed=speed,
        poll_interval_s=settings.poll_interval_s,
        recorded_on=datetime.now(UTC).date(),
        answers=answers,
        requests=tuple(sorted(asked, key=lambda one: (one.at_s, one.game_id))),
    )


@contextmanager
def _held(home: NightHome, night: date, speed: float) -> Iterator[None]:
    """A stack on which the night has been played and which still runs."""
    with tempfile.TemporaryDirectory(prefix="halftime-trace-") as name:
        folder = Path(name)
        process = home.start(
            name, "replay", str(night), "--json", "--speed", f"{speed:g}", module="tests.support.night_held"
        )
        deadline = time.monotonic() + LONGEST_S
        try:
            while not (folder / HELD).exists():
                assert process.poll() is None, finish(process, 10.0).err
                assert time.monotonic() < deadline, f"the replay of {night} did not end within {LONGEST_S:g} s"
                time.sleep(0.2)
            yield
        finally:
            (folder / GO).touch()
            finish(process, 90.0)


def _clock(replay_url: str) -> tuple[ReplayState, float]:
    """Where the night is, and what speed times wall time lacks to the feed's time, in feed seconds. Of several looks
    the quickest counts: the answer was given within it, so it is wrong by half its length at most."""
    best: tuple[float, ReplayState, float] | None = None
    with closing(ReplayControl(replay_url)) as replay:
        for _ in range(LOOKS):
            began_s = time.time()
            state = replay.state()
            took_s = time.time() - began_s
            shift_s = state.feed_now.timestamp() - state.speed * (began_s + took_s / 2)
            if best is None or took_s < best[0]:
                best = took_s, state, shift_s
    assert best is not None
    say(f"the feed's clock is known to {best[1].speed * best[0] / 2:.2f} feed seconds")
    return best[1], best[2]


def _wall_s(line: dict[str, str]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def _answers(url: str) -> dict[str, int]:
    """Answers to POST /predict by status, all workers together."""
    families = text_string_to_metric_families(httpx.get(url, timeout=20.0).raise_for_status().text)
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.labels["code"]: int(sample.value)
        for sample in samples
        if sample.name == "halftime_http_requests_total" and sample.labels["route"] == "/predict" and sample.value
    }


def main() -> None:
    """Record a night and keep it."""
    parser = argparse.ArgumentParser(prog=AGAIN, description=__doc__)
    parser.add_argument("--speed", type=float, default=SPEED, help="how many times faster the replay's clock runs")
    parser.add_argument("--date", type=date.fromisoformat, help="a night of the simulated league; unset: as make night")
    parser.add_argument("--to", type=Path, default=PATH)
    given = parser.parse_args()
    write_measured(given.to, record(given.speed, given.date))
    trace = read_trace(given.to)
    say(f"{given.to}: {len(trace.requests)} requests of {len(trace.games)} games; answers by status {trace.answers}")


if __name__ == "__main__":
    main()
