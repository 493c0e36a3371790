"""Forecasts of every completed minute: when they are made, when not, and that an official one never waits for them."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import predictor as module
from models.game import forecast_minute, pattern
from services.client import ForecasterRefused, ForecasterUnavailable
from tests.support.predictor_bench import AT, GAME, OTHER, THIRD, Bench, shown


def test_every_minute_is_forecast_once_from_tip_off_on() -> None:
    bench = Bench()
    for turn in range(144):
        bench.see(shown(t=10.0 * turn))
        bench.step()
    assert bench.issuer.minutes == [(GAME, minute, 0) for minute in range(24)]
    told = [event.data["minute"] for event in bench.heard.events if event.type == "forecast"]
    assert told == list(range(24))
    counts = bench.predictor.counts
    assert (counts.forecasts, counts.minutes, counts.passed) == (1, 23, 0)


def test_minutes_that_passed_unseen_are_not_forecast_and_counted() -> None:
    bench = Bench()
    for t in (130.0, 400.0, 1090.0, 1200.0, 1300.0):
        bench.see(shown(t=t))
        bench.step()
    assert [minute for _, minute, _ in bench.issuer.minutes] == [2, 6, 18, 20, 21]
    bench.see(shown(t=1440.0, ended=True))
    bench.step()
    assert bench.predictor.counts.passed == 3 + 11 + 1 + 2


def test_a_correction_revises_the_newest_minute_alone() -> None:
    bench = Bench()
    for at, t, lead in ((0, 130.0, 4), (5, 150.0, 4), (10, 150.0, 3), (15, 190.0, 3), (20, 185.0, 2), (25, 170.0, 2)):
        bench.see(shown(t=t, lead=lead, edited_at=AT + timedelta(seconds=at)))
        bench.step()
    # The last correction puts time back on the clock: what is the newest minute now is what is forecast.
    assert bench.issuer.minutes == [(GAME, 2, 0), (GAME, 2, 1), (GAME, 3, 0), (GAME, 3, 1), (GAME, 2, 2)]


def test_an_official_forecast_goes_before_the_others_of_its_step() -> None:
    bench = Bench()
    bench.see(shown(GAME, t=400.0), shown(OTHER, t=1090.0), shown(THIRD, t=900.0))
    bench.step()
    assert bench.issuer.minutes == [(OTHER, 18, 0), (GAME, 6, 0), (THIRD, 15, 0)]


def test_an_official_forecast_that_falls_due_waits_behind_no_more_than_one_other() -> None:
    bench = Bench()

    def due() -> None:
        bench.issuer.during = None
        bench.see(shown(THIRD, t=1090.0))

    bench.issuer.during = due
    bench.see(shown(GAME, t=400.0), shown(OTHER, t=500.0))
    bench.step()
    bench.step()
    assert bench.issuer.minutes == [(GAME, 6, 0), (THIRD, 18, 0), (OTHER, 8, 0)]


def test_an_official_forecast_that_waits_for_a_newer_snapshot_holds_up_no_other_game() -> None:
    bench = Bench()
    bench.see(shown(THIRD, t=1090.0))
    bench.now = AT + timedelta(minutes=10)
    bench.step()
    bench.see(shown(GAME, t=400.0), shown(OTHER, t=500.0))
    bench.step()
    assert bench.issuer.minutes == [(GAME, 6, 0), (OTHER, 8, 0)]
    assert bench.stream.backlog() == 1, "the official one is still owed"


def test_a_forecaster_that_is_away_is_asked_once_a_step_for_minutes_that_nobody_owes() -> None:
    bench = Bench()
    bench.issuer.broken = ForecasterUnavailable("away")
    bench.see(shown(GAME, t=400.0), shown(OTHER, t=500.0))
    bench.step()
    assert bench.issuer.minutes == [(GAME, 6, 0)]
    assert bench.stream.backlog() == 0, "nothing is owed"
    bench.issuer.broken = None
    bench.step()
    assert len(bench.issuer.minutes) == 1, "without a new tick nobody asks again"
    bench.see(shown(GAME, t=415.0), shown(OTHER, t=550.0))
    bench.step()
    assert bench.issuer.minutes[1:] == [(GAME, 6, 0), (OTHER, 9, 0)]
    assert bench.predictor.counts.passed == 1


def test_a_slow_forecaster_is_asked_for_the_rest_in_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(module, "BETWEEN_S", -1.0)
    bench.see(shown(GAME, t=400.0), shown(OTHER, t=500.0))
    bench.step()
    assert bench.issuer.minutes == []
    monkeypatch.undo()
    bench.step()
    assert bench.issuer.minutes == [(GAME, 6, 0), (OTHER, 8, 0)]


def test_what_the_forecaster_refuses_is_not_asked_again_for_the_same_pattern() -> None:
    bench = Bench()
    bench.issuer.broken = ForecasterRefused(400, "this model answers at minute 18")
    for t in (400.0, 405.0, 410.0, 425.0):
        bench.see(shown(t=t))
        bench.step()
    assert bench.issuer.minutes == [(GAME, 6, 0), (GAME, 7, 0)]


@pytest.mark.parametrize(("speed", "age_s", "asked"), [(1.0, 59.0, 1), (1.0, 60.0, 0), (60.0, 0.9, 1), (60.0, 1.0, 0)])
def test_no_minute_is_forecast_from_a_snapshot_older_than_a_minute_of_play(
    speed: float, age_s: float, asked: int
) -> None:
    bench = Bench(speed=speed)
    bench.see(shown(t=400.0))
    bench.now = AT + timedelta(seconds=age_s)
    bench.step()
    assert len(bench.issuer.minutes) == asked
    assert bench.stream.backlog() == 0


def test_a_void_game_is_forecast_no_more() -> None:
    bench = Bench()
    bench.store.decided[GAME] = "void"
    bench.see(shown(t=400.0))
    bench.step()
    assert bench.issuer.minutes == []


POLLS = st.lists(
    st.tuples(st.integers(0, 1500), st.integers(-2, 2), st.integers(0, 40), st.booleans(), st.booleans()), max_size=40
)


@given(POLLS)
def test_polls_repeated_missed_and_out_of_order_give_one_forecast_a_minute_and_revision(
    polls: list[tuple[int, int, int, bool, bool]],
) -> None:
    """Whatever comes: FakeIssuer refuses an identity twice, and what stands is of the state the store holds."""
    bench = Bench()
    for t, lead, edited_s, twice, killed in polls:
        snapshot = shown(t=float(t), ended=t >= 1440, lead=lead + 2, edited_at=AT + timedelta(seconds=edited_s))
        bench.see(*[snapshot] * (1 + twice))
        if killed:
            bench.predictor = bench.new_predictor()
        bench.step()
        assert bench.stream.backlog() == 0
        head = bench.store.heads[GAME].snapshot
        minute = forecast_minute(head)
        if minute is not None and bench.store.decided.get(GAME) != "missed":
            standing = bench.store.latest_forecast(GAME, minute)
            assert standing is not None
            assert standing.pattern == pattern(head, minute)
    for minute in range(24):
        made = sorted(
            (each.revision, each.pattern) for (_, at, _), each in bench.store.forecasts.items() if at == minute
        )
        assert [revision for revision, _ in made] == list(range(len(made)))
        assert all(one != other for (_, one), (_, other) in pairwise(made))
