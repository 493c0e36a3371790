"""The forecaster's pods on the recorded night and on whatever else may come."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.autoscaling import PEAK_PODS, Study, bursts_of, knots, origins, outcomes, study
from benchmarks.crowd import crowd, followers_for
from benchmarks.curve import Curve, Knot, Machine, read_curve
from benchmarks.pods import Night, cluster_of, scaler_of, serve
from benchmarks.request_trace import Asked, Trace, read_trace
from models.clock import OFFICIAL_MINUTE
from services.settings import ROOT

FORECASTER, CLUSTER = scaler_of(), cluster_of()
SECONDS_EACH = 30


@cache
def committed() -> Study:
    return study()


def knot(offered: float, answered: float, wait_ms: float) -> Knot:
    """A knot as of a worker that is kept busy by what it answers."""
    in_flight = 64.0 if answered < offered else max(1.0, answered * wait_ms / 1000)
    return Knot(
        offered=offered, answered=answered, refused=offered - answered, unanswered=0.0, p50_ms=wait_ms,
        p99_ms=3 * wait_ms, in_flight=in_flight, gauge=in_flight, processor=min(1.0, answered / 200), elsewhere=0.0,
        sent_late_ms=0.1,
    )  # fmt: skip


def curve(most: float = 200.0, start_s: float = 7.0) -> Curve:
    """A worker that answers all up to ``most`` requests a second, and no more of any others."""
    return Curve(
        measured_on=date(2026, 1, 1), machine=Machine(2, "made up", "3.11", 0.0), champion="none", games=1, rounds=1,
        seconds_each=1.0, starts_s=(start_s,), idle_processor=0.01,
        knots=(knot(most / 2, most / 2, 4.0), knot(most, most, 60.0), knot(2 * most, most, 300.0)),
    )  # fmt: skip


@given(
    came=st.lists(st.floats(0.0, 5000.0), min_size=2, max_size=40),
    most=st.floats(50.0, 1000.0),
    start_s=st.floats(0.1, 120.0),
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_pods_stay_in_bounds_and_never_go_back_and_forth(
    came: list[float], most: float, start_s: float
) -> None:
    night = serve(np.repeat(came, SECONDS_EACH), FORECASTER, curve(most, start_s), CLUSTER)
    assert night.wanted.min() >= FORECASTER.least == 2
    assert night.wanted.max() <= FORECASTER.most == 10
    changes = night.moves
    assert all(step >= -1 for _, step in changes), "one pod at a time"
    for (then, first), (now, second) in pairwise(changes):
        if second < 0:
            assert now - then >= (FORECASTER.down.window_s if first > 0 else 60.0)
    # Up, five minutes, down: so often at most can the direction change.
    assert night.turns <= 1 + 2 * len(night.wanted) / FORECASTER.down.window_s


@given(came=st.lists(st.floats(0.0, 5000.0), min_size=2, max_size=40), most=st.floats(50.0, 1000.0))
@settings(deadline=None)
def test_every_request_is_answered_or_refused(came: list[float], most: float) -> None:
    night = serve(np.repeat(came, SECONDS_EACH), FORECASTER, curve(most), CLUSTER)
    assert np.allclose(night.answered + night.refused, night.came)
    assert (night.ready <= night.wanted).all()
    assert night.answered.max() <= FORECASTER.most * most + 1e-6


def test_the_committed_night_needs_all_pods_and_ends_with_the_least() -> None:
    night = committed().told
    assert night.wanted[0] == night.wanted[-1] == FORECASTER.least
    assert night.wanted.max() == FORECASTER.most
    assert night.refused[0] == night.refused[-1] == 0


def test_ten_pods_are_ready_before_the_burst_of_a_night_is_over() -> None:
    made = committed()
    assert made.told.ready[made.bursts[0][0]] < FORECASTER.most
    assert made.full_after_s(made.told) is not None


def test_processor_time_alone_reaches_ten_later_and_refuses_more() -> None:
    made = committed()
    alone, both = made.nights["processor time alone"], made.told
    reached = made.full_after_s(both)
    assert reached is not None
    assert (made.full_after_s(alone) or float("inf")) > reached
    assert alone.refused.sum() > both.refused.sum()


def test_more_pods_refuse_no_more() -> None:
    came = committed().told.came
    refused = [serve(came, pods, read_curve(), CLUSTER).refused.sum() for pods in range(2, 11)]
    # The measured shares may differ by chance where all are answered.
    assert all(more <= fewer + 0.001 * came.sum() for fewer, more in pairwise(refused))
    least = [serve(came, replace(FORECASTER, least=pods), read_curve(), CLUSTER).refused.sum() for pods in (2, 5, 8)]
    assert least[0] >= least[1] >= least[2]


def test_no_variant_goes_back_and_forth_within_the_window_on_the_committed_night() -> None:
    for night in committed().nights.values():
        assert night.flaps(FORECASTER.down.window_s) == 0


def test_turns_and_flaps_are_counted() -> None:
    flat = np.zeros(10)
    wanted = np.array([2, 4, 4, 3, 3, 5, 5, 5, 5, 4])
    night = Night(flat, flat, flat, wanted, wanted, flat, flat)
    assert night.moves == [(0, 2), (2, -1), (4, 2), (8, -1)]
    assert night.turns == 3
    assert night.flaps(3.0) == 1
    assert night.flaps(5.0) == 2


def test_a_burst_is_a_time_in_which_more_come_than_so_many() -> None:
    assert bursts_of(np.array([5.0, 1.0, 2.0, 3.0, 3.0, 2.0, 9.0]), above=2.0) == [(0, 0), (3, 4), (6, 6)]
    assert bursts_of(np.array([1.0, 2.0]), above=2.0) == []


def test_a_crowd_asks_as_often_as_it_is_large_and_its_peak_is_what_was_asked_for() -> None:
    trace = read_trace()
    share = sum(1.0 if asked.minute == OFFICIAL_MINUTE else 0.1 for asked in trace.requests)
    assert crowd(trace, 200.0, share=0.1).sum() == pytest.approx(200.0 * share, rel=1e-6)
    assert crowd(trace, followers_for(trace, 700.0)).max() == pytest.approx(700.0)


def test_two_of_three_followers_ask_within_the_minute_of_the_official_forecast_and_none_before() -> None:
    trace = msgspec.structs.replace(read_trace(), requests=(Asked(600.0, "1", OFFICIAL_MINUTE),))
    asked = crowd(trace, 100.0)
    begin = 900 + 600
    assert asked[:begin].sum() == 0
    assert asked[begin : begin + 60].sum() == pytest.approx(63.2, abs=0.1)
    assert asked[begin] == asked.max()


def test_between_two_rates_a_worker_is_taken_to_be_on_the_line_between_them() -> None:
    one = curve()
    middle = one.at(np.array([150.0]))
    assert middle.p50_ms[0] == pytest.approx((4.0 + 60.0) / 2)
    assert middle.answered[0] == 150.0
    assert one.at(np.array([0.0])).processor[0] == one.idle_processor
    assert one.at(np.array([0.0])).gauge[0] == 1.0


def test_beyond_the_highest_rate_measured_the_rest_is_refused() -> None:
    beyond = curve().at(np.array([1000.0]))
    assert beyond.answered[0] == 200.0
    assert beyond.refused[0] == 800.0
    assert beyond.p99_ms[0] == 900.0


def test_the_crowd_of_the_study_takes_more_pods_than_two() -> None:
    made = committed()
    assert made.told.came.max() == pytest.approx(PEAK_PODS * made.curve.answers_s)
    first = made.bursts[0][0]
    assert made.told.came[first] > FORECASTER.least * made.curve.answers_s >= made.told.came[first - 1]


def test_the_page_has_the_figures_that_the_committed_files_give() -> None:
    page = (ROOT / "docs" / "autoscaling.md").read_text(encoding="utf-8")
    made = committed()
    for table in (origins(made), knots(made.curve), outcomes(made)):
        assert "\n".join(table) in page, "print them anew: python -m benchmarks.autoscaling"


def test_the_recorded_night_is_of_the_simulated_league_and_whole() -> None:
    trace: Trace = read_trace()
    assert trace.league == "simulated"
    official = [asked.game_id for asked in trace.requests if asked.minute == OFFICIAL_MINUTE]
    assert set(official) == set(trace.games)
    assert trace.answers.get("200", 0) == len(trace.requests)
