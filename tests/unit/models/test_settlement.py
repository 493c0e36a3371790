import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.game import Play, Snapshot, Status
from models.settlement import OutcomeState, outcome, settle


def game(t: float, period: int, *, ended: bool = False, status: Status = Status.LIVE) -> Snapshot:
    plays = (Play(1, 1, 30.0, 3, 0), Play(2, 2, 1430.0, 50, 52), Play(3, 3, 1441.0, 53, 52))
    return Snapshot("0022200001", "BOS", "PHI", status, period, t, ended, tuple(p for p in plays if p.t <= t))


def test_there_is_no_outcome_before_the_half() -> None:
    assert outcome(game(1440.0, 2)) is None


def test_the_outcome_is_provisional_at_halftime_and_final_two_minutes_into_q3() -> None:
    at_half, early, later = game(1440.0, 2, ended=True), game(1500.0, 3), game(1560.0, 3)
    for snapshot, state in ((at_half, "provisional"), (early, "provisional"), (later, "final")):
        result = outcome(snapshot)
        assert result is not None
        assert (result.margin, result.home, result.state) == (-2, 50, OutcomeState(state))


def test_a_finished_game_is_final() -> None:
    result = outcome(game(2880.0, 4, ended=True, status=Status.FINAL))
    assert result is not None
    assert result.state is OutcomeState.FINAL


@pytest.mark.parametrize(("actual", "covered"), [(-8, True), (16, True), (-9, False), (17, False)])
def test_the_ends_of_the_interval_are_covered(actual: int, covered: bool) -> None:
    assert settle(point=4.0, lower=-8.0, upper=16.0, persistence=3, actual=actual).covered is covered


@given(st.integers(-60, 60), st.floats(-40, 40), st.integers(-40, 40))
def test_errors_are_actual_minus_forecast(actual: int, point: float, persistence: int) -> None:
    settled = settle(point=point, lower=point - 1, upper=point + 1, persistence=persistence, actual=actual)
    assert settled.error == actual - point
    assert settled.persistence_error == actual - persistence
