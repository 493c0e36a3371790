import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lstm import STEP_UNITS, apply_rule, fit_rule, steps
from models.lstm_training import LstmSpec, train_lstm
from models.ratings import rate_history
from tests.unit.models.builders import make_history, random_lstm

LSTM = random_lstm()
ROOT = Path(__file__).parents[3]
PATHS = st.lists(st.integers(-6, 6), max_size=23).map(lambda steps: np.cumsum([0, *steps]).astype(float))


@settings(max_examples=50, deadline=None)
@given(path=PATHS, rating=st.none() | st.floats(-20, 20))
def test_one_game_and_a_batch_give_the_same_bits(path: np.ndarray, rating: float | None) -> None:
    ratings = None if rating is None else np.array([rating, rating, rating])
    batch = LSTM.changes(np.stack([-path, path, path / 2]), ratings)
    assert LSTM.change(path, rating) == batch[1, -1]


@pytest.mark.parametrize("games", [1, 2, 3, 7, 16, 33, 150])
@pytest.mark.parametrize("minutes", [1, 2, 19, 24])
def test_neither_the_number_of_games_nor_of_minutes_changes_a_bit(games: int, minutes: int) -> None:
    paths, ratings = make_history(150).margins[:, :24].astype(float), np.linspace(-9.0, 9.0, 150)
    whole = LSTM.changes(paths, ratings)
    for start in range(0, 150, games):
        some = slice(start, start + games)
        assert np.array_equal(LSTM.changes(paths[some, :minutes], ratings[some]), whole[some, :minutes])


def plain(margins: np.ndarray, ratings: np.ndarray | None) -> np.ndarray:
    """The network in double precision, step by step, as the equations say it."""
    inputs = steps(margins, ratings).astype(float) / STEP_UNITS
    hidden, cell = np.zeros((len(margins), LSTM.hidden)), np.zeros((len(margins), LSTM.hidden))
    out = []
    for now in inputs:
        *sigmoids, candidate = np.split(now @ LSTM.input_weights + hidden @ LSTM.hidden_weights + LSTM.gate_bias, 4, 1)
        first, forget, output = (1.0 / (1.0 + np.exp(-gate)) for gate in sigmoids)
        cell = forget * cell + first * np.tanh(candidate)
        hidden = output * np.tanh(cell)
        out.append(hidden @ LSTM.head_weights + LSTM.head_bias[0])
    return np.stack(out, axis=1) * LSTM.scale[: margins.shape[1]] + apply_rule(LSTM.rule, margins, ratings)


@pytest.mark.parametrize("rated", [True, False])
def test_the_graph_answers_as_the_equations_do(rated: bool) -> None:
    paths = make_history(60).margins[:, :24].astype(float)
    ratings = np.linspace(-12.0, 12.0, 60) if rated else None
    assert np.allclose(LSTM.changes(paths, ratings), plain(paths, ratings), atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(path=PATHS, rating=st.floats(-20, 20))
def test_the_same_question_has_the_same_bits(path: np.ndarray, rating: float) -> None:
    assert LSTM.change(path, rating) == LSTM.change(path.copy(), rating)


def test_what_happens_later_changes_nothing_before() -> None:
    paths = make_history(20).margins[:, :24].astype(float)
    later = paths.copy()
    later[:, 19:] = 55.0
    ratings = np.zeros(20)
    assert np.array_equal(LSTM.changes(paths, ratings)[:, :19], LSTM.changes(later, ratings)[:, :19])


def test_an_unknown_rating_is_not_a_rating_of_zero() -> None:
    path = np.array([0.0, 2.0, 5.0])
    assert LSTM.change(path, None) != LSTM.change(path, 0.0)


def test_without_a_rating_both_its_inputs_are_zero() -> None:
    assert not steps(np.zeros((2, 3)), None)[:, :, 3:].any()
    assert steps(np.zeros((2, 3)), np.array([9.0, -9.0]))[0, :, 3:].tolist() == [[9.0, 1.0], [-9.0, 1.0]]


def test_extreme_input_stays_finite() -> None:
    assert np.isfinite(LSTM.change(np.array([0.0] + [100.0, -100.0] * 9), 60.0))


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="head_weights has shape"):
        replace(LSTM, head_weights=np.zeros(4))


def test_the_graph_answers_as_torch_does() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.LSTM(5, 8, batch_first=True)
    halves = [LSTM.input_weights, LSTM.hidden_weights, LSTM.gate_bias]
    blocks = [np.split(array, 4, axis=-1) for array in halves]
    torch_order = [np.concatenate([i, f, g, o], axis=-1) for i, f, o, g in blocks]
    with torch.no_grad():
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"), torch_order, strict=True):
            getattr(layer, name).copy_(torch.from_numpy(value.T.copy()))
        layer.bias_hh_l0.zero_()
        layer.double()
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"), torch_order, strict=True):
            getattr(layer, name).copy_(torch.from_numpy(value.T.copy()))
        paths = make_history(6).margins[:, :19].astype(float)
        inputs = steps(paths, np.linspace(-8, 8, 6)).swapaxes(0, 1) / STEP_UNITS
        states, _ = layer(torch.from_numpy(inputs))
    corrected = (states.numpy() @ LSTM.head_weights + LSTM.head_bias[0]) * LSTM.scale[:19]
    wanted = corrected + apply_rule(LSTM.rule, paths, np.linspace(-8, 8, 6))
    assert np.allclose(LSTM.changes(paths, np.linspace(-8, 8, 6)), wanted, atol=1e-5, rtol=0)


def test_the_rule_is_the_least_squares_line_of_each_minute() -> None:
    history = make_history(400)
    ratings, _ = rate_history(history)
    paths = history.margins[:, :24].astype(float)
    changes = history.margins[:, 24:25] - paths
    rule = fit_rule(paths, changes, ratings)
    columns = np.column_stack([np.ones(400), paths[:, 18], ratings])
    assert rule[18, :3] == pytest.approx(np.linalg.lstsq(columns, changes[:, 18], rcond=None)[0], abs=1e-4)
    # The lead at tip-off is 0 in every game: nothing can be said of its factor.
    assert rule[0, 1] == rule[0, 4] == 0.0
    assert apply_rule(rule, paths, None)[:, 0] == pytest.approx(np.full(400, changes[:, 0].mean()), abs=1e-3)


def test_training_twice_gives_the_same_bits_and_learns() -> None:
    torch = pytest.importorskip("torch")
    history = make_history(600)
    ratings, _ = rate_history(history)
    spec = LstmSpec(hidden=6, epochs=4, batch=64)
    state = torch.random.get_rng_state()
    epochs: list[int] = []
    first = train_lstm(history.margins, ratings, spec, lambda epoch, _: epochs.append(epoch))
    second = train_lstm(history.margins, ratings, spec)
    assert epochs == [1, 2, 3, 4]
    assert first.losses == second.losses
    assert np.array_equal(first.lstm.hidden_weights, second.lstm.hidden_weights)
    assert first.losses[-1] < first.losses[0]
    assert torch.equal(state, torch.random.get_rng_state())


def test_forecasting_and_loading_need_no_torch() -> None:
    code = "import sys, models.bundle, models.recalibration, models.training; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
