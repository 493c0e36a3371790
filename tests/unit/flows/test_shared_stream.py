"""Several predictors on one stream: together they leave what one alone would have left."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import predictor as module
from flows.predictor import Predictor
from models.game import Snapshot, Status, pattern
from models.succession import Verdict, supersedes
from services.client import ForecasterUnavailable
from tests.support.predictor_bench import AT, GAME, OTHER, Bench, shown


class Shared(Bench):
    """``Bench`` with further predictors, each a consumer of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.others = [self.new_predictor(f"test:{number}") for number in (2, 3)]

    @property
    def all(self) -> list[Predictor]:
        return [self.predictor, *self.others]

    def later(self, *snapshots: Snapshot) -> None:
        """Each is shown by a poll of its own."""
        for snapshot in snapshots:
            self.see(snapshot)
            self.now += timedelta(seconds=0.1)

    def handles(self, one: Predictor, *snapshots: Snapshot) -> None:
        """It meets what is polled next."""
        self.later(*snapshots)
        one.step(block_ms=0)

    def each_takes_one(self, *takers: Predictor) -> None:
        """Entries are handed out one at a time."""
        with patch.object(module, "BATCH", 1):
            for taker in takers:
                taker._owe(self.stream.consume(taker._consumer, block_ms=0, count=1))


def edited(seconds: float, t: float, lead: int = 4) -> Snapshot:
    return shown(t=t, lead=lead, edited_at=AT + timedelta(seconds=seconds))


def test_each_tick_goes_to_one_predictor_and_one_forecast_results() -> None:
    shared = Shared()
    shared.see(shown())
    for one in shared.all:
        one.step(block_ms=0)
    assert [one.counts.ticks for one in shared.all] == [1, 0, 0]
    assert list(shared.store.forecasts) == [(GAME, 18, 0)]


def test_a_newer_state_handled_first_is_not_replaced_by_an_older_one() -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.later(edited(10, t=1100.0), edited(20, t=1090.0, lead=2))
    shared.each_takes_one(first, second)
    second.step(block_ms=0)
    first.step(block_ms=0)
    assert shared.store.heads[GAME].snapshot == edited(20, t=1090.0, lead=2)
    assert [one.pattern[-1] for one in shared.store.forecasts.values()] == [2.0]
    assert shared.stream.backlog() == 0


def test_what_another_stored_meanwhile_is_read_and_judged_anew() -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.handles(first, edited(10, t=1090.0))
    shared.handles(second, edited(20, t=1095.0, lead=5))
    shared.handles(first, edited(30, t=1100.0, lead=6))
    assert [one.pattern[-1] for one in shared.store.forecasts.values()] == [4.0, 5.0, 6.0]
    assert shared.store.heads[GAME].snapshot.t == 1100.0


def test_a_slow_forecast_of_an_old_state_is_refused_when_the_state_has_moved_on() -> None:
    shared = Shared()
    first, second, _ = shared.all

    def meanwhile() -> None:
        shared.issuer.during = None
        shared.handles(second, edited(20, t=1095.0, lead=1))

    shared.later(edited(10, t=1090.0))
    shared.issuer.during = meanwhile
    first.step(block_ms=0)
    assert [(key, one.pattern[-1]) for key, one in shared.store.forecasts.items()] == [((GAME, 18, 0), 1.0)]
    assert first.counts.overtaken == 1
    assert shared.stream.backlog() == 0


def test_a_forecast_that_another_wrote_from_another_state_becomes_a_revision() -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.handles(first, edited(10, t=1070.0))
    assert shared.predictor._games[GAME].standing.get(18) is None
    shared.handles(second, edited(20, t=1090.0))
    # As if the first had read what stands just before the second wrote it.
    first._games[GAME].head = shared.store.heads[GAME]
    first._games[GAME].standing[18] = None
    shared.handles(first, edited(30, t=1095.0, lead=9))
    assert [(key[2], one.pattern[-1]) for key, one in shared.store.forecasts.items() if key[1] == 18] == [
        (0, 4.0),
        (1, 9.0),
    ]


def test_a_score_that_comes_back_is_told_though_another_told_the_one_between() -> None:
    shared = Shared()
    first, second, _ = shared.all
    for taker, one in ((first, edited(10, 700.0, 4)), (second, edited(20, 700.0, 6)), (first, edited(30, 700.0, 4))):
        shared.handles(taker, one)
    assert [event.data["home_score"] for event in shared.heard.of("score")] == [4, 6, 4]


def test_the_same_forecast_is_told_once_whoever_meets_it() -> None:
    shared = Shared()
    for turn in range(6):
        shared.handles(shared.all[turn % 3], edited(turn, t=1090.0 + turn))
    assert [event.data["revision"] for event in shared.heard.of("forecast")] == [0]


def test_what_a_dead_predictor_took_is_taken_over_when_it_has_been_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.later(shown())
    shared.each_takes_one(first)
    second.step(block_ms=0)
    assert shared.store.forecasts == {}
    monkeypatch.setattr(module, "HOLD_EVERY_S", 0.0)
    monkeypatch.setattr(module, "SILENT_MS", 1)
    time.sleep(0.01)
    second.step(block_ms=0)
    assert list(shared.store.forecasts) == [(GAME, 18, 0)]
    assert shared.stream.backlog() == 0


def test_what_a_living_predictor_owes_is_left_to_it_however_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD_EVERY_S", 0.0)
    monkeypatch.setattr(module, "SILENT_MS", 400)
    shared = Shared()
    first, second, _ = shared.all
    shared.see(shown())
    shared.now += timedelta(minutes=10)  # too old to be forecast, so owed
    for _ in range(8):
        first.step(block_ms=100)
        second.step(block_ms=0)
    assert second.counts.ticks == 0
    assert shared.stream.backlog() == 1


def test_a_predictor_knows_who_else_is_at_work() -> None:
    shared = Shared()
    first, second, third = shared.all
    assert first.others() == []
    first.step(block_ms=0)
    second.step(block_ms=0)
    assert [one.others() for one in (first, second, third)] == [["test:2"], ["test:1"], ["test:1", "test:2"]]


def test_a_minute_left_from_a_state_that_was_overtaken_is_forecast_no_more() -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.later(edited(10, t=310.0))
    with patch.object(module, "BETWEEN_S", -1.0):
        first.step(block_ms=0)
    assert GAME in first._minutes
    shared.later(edited(11, t=312.0))
    shared.each_takes_one(first)
    shared.handles(second, edited(20, t=315.0, lead=1))
    first.step(block_ms=0)
    assert [(key[1:], one.pattern[-1]) for key, one in shared.store.forecasts.items()] == [((5, 0), 1.0)]


def test_a_state_that_comes_back_before_the_one_between_is_handled_stays_the_newest() -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.handles(first, edited(10, t=1090.0))
    shared.later(edited(20, t=1090.0, lead=7))
    shared.each_takes_one(second)
    shared.handles(first, edited(30, t=1090.0))
    second.step(block_ms=0)
    assert shared.store.heads[GAME].snapshot == edited(30, t=1090.0)
    assert [one.pattern[-1] for one in shared.store.forecasts.values()] == [4.0]


def test_why_a_game_was_missed_is_known_though_predictors_took_turns() -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.issuer.broken = ForecasterUnavailable("nobody answers")
    for turn in range(4):
        shared.later(edited(10 * turn, t=1090.0 + turn))
        (first, second)[turn % 2].step(block_ms=0)
    shared.handles(first, shown(t=1440.0, ended=True, edited_at=AT + timedelta(seconds=99)))
    assert shared.store.decided == {GAME: "missed"}
    (told,) = shared.heard.of("disposition")
    assert told.data["reason"] == "no forecast before the half: nobody answers"


def test_an_outcome_that_another_recorded_and_did_not_tell_is_told_once() -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.handles(first, edited(10, t=1090.0))
    for turn, taker in enumerate((first, second, first)):
        shared.handles(taker, shown(t=1440.0 + turn, ended=True, edited_at=AT + timedelta(seconds=60 + turn)))
    assert len(shared.heard.of("settlement")) == 1, "FakeStore says that it was recorded before"


def test_a_disposition_that_another_decided_is_not_told_again() -> None:
    shared = Shared()
    first = shared.predictor
    shared.handles(first, edited(10, t=700.0))
    postponed = Snapshot(GAME, "DET", "CHA", Status.POSTPONED)
    first._games[GAME].disposition = None
    shared.store.decided[GAME] = "void"
    shared.handles(first, postponed)
    assert shared.heard.of("disposition") == []
    assert first.counts.void == 0


def test_scores_go_on_when_the_pollers_clock_is_set_back() -> None:
    shared = Shared()
    shared.handles(shared.predictor, edited(10, t=700.0))
    shared.now -= timedelta(hours=1)
    for turn in range(3):
        shared.handles(shared.all[turn], edited(20 + turn, t=705.0 + turn, lead=5 + turn))
    assert [event.data["home_score"] for event in shared.heard.of("score")] == [4, 5, 6, 7]


STATES = st.lists(st.tuples(st.integers(-40, 60), st.integers(-3, 3), st.integers(1, 9)), min_size=1, max_size=12)
MOVES = st.lists(st.tuples(st.sampled_from(["see", "take", "step", "step", "die"]), st.integers(0, 2)), max_size=60)


def polled(states: list[tuple[int, int, int]], begins: int) -> list[Snapshot]:
    """What a poller publishes of a game: each state supersedes the one before; edits go forward."""
    shows: list[Snapshot] = []
    t, at_s = begins, 0
    for forward, lead, edit in states:
        t, at_s = max(t + forward, 1), at_s + edit
        snapshot = edited(at_s, t=float(min(t, 1430)), lead=lead + 3)
        if supersedes(shows[-1] if shows else None, snapshot) in (Verdict.NEW, Verdict.CORRECTION):
            shows.append(snapshot)
    return shows


@given(STATES, MOVES, st.lists(st.integers(0, 2), max_size=8))
def test_however_predictors_take_turns_die_and_overtake_each_other_the_newest_state_is_forecast_and_told(
    states: list[tuple[int, int, int]], moves: list[tuple[str, int]], meanwhile: list[int]
) -> None:
    shared, names = Shared(), iter(range(10, 200))
    waiting = polled(states, begins=1070)
    last = waiting[-1]
    crew = dict(enumerate(shared.all))
    inside: list[int] = []

    def during() -> None:
        # While one waits for its forecast, another may take its turn; never the same one again.
        if meanwhile and (who := meanwhile.pop()) not in inside:
            act("step", who)

    def act(what: str, who: int) -> None:
        if what == "see" and waiting:
            shared.later(waiting.pop(0))
        elif what == "take":
            shared.each_takes_one(crew[who])
        elif what == "step":
            inside.append(who)
            crew[who].step(block_ms=0)
            inside.pop()
        elif what == "die" and who not in inside:
            crew[who] = shared.new_predictor(f"test:{next(names)}")

    shared.issuer.during = during
    for what, who in moves:
        act(what, who)
    while waiting:
        act("see", 0)
        act("step", len(waiting) % 3)
    with patch.object(module, "SILENT_MS", 5), patch.object(module, "HOLD_EVERY_S", -1.0):
        time.sleep(0.01)
        for who in (0, 1, 2, 0):
            act("step", who)
    assert shared.stream.backlog() == 0
    assert shared.stream.dead_letters() == []
    assert shared.store.heads[GAME].snapshot == last
    made = sorted((key[2], one.pattern) for key, one in shared.store.forecasts.items() if key[1] == 18)
    assert [revision for revision, _ in made] == list(range(len(made)))
    assert all(one != other for (_, one), (_, other) in pairwise(made))
    if last.t >= 1080:
        assert made[-1][1] == pattern(last, 18)
        told = [event.data["revision"] for event in shared.heard.of("forecast") if event.data["minute"] == 18]
        assert told[-1] == made[-1][0]
        assert told == sorted(set(told))


def test_games_are_shared_out_between_predictors() -> None:
    shared = Shared()
    first, second, _ = shared.all
    shared.later(shown(GAME), shown(OTHER))
    shared.each_takes_one(first, second)
    acts: list[Callable[[], int]] = [lambda one=one: one.step(block_ms=0) for one in (second, first)]  # type: ignore[misc]
    assert [act() for act in acts] == [0, 0]
    assert sorted(key[0] for key in shared.store.forecasts) == [GAME, OTHER]
    assert [one.counts.forecasts for one in (first, second)] == [1, 1]
