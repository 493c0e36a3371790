"""Train the recurrent network. The only place that needs torch, imported when called.

Every game is one sequence with a target at each minute 0..23: what the linear rule leaves of its change until the half,
divided by that minute's spread, so early minutes do not drown late ones. In each epoch a share of the games hides its
rating: one network then serves requests with and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE
from models.lstm import FEATURES, STEP_UNITS, Floats, Lstm, apply_rule, fit_rule, steps


@dataclass(frozen=True, slots=True)
class LstmSpec:
    """``hide_rating`` is the share of games trained without their rating; ``batch`` games; AdamW, one-cycle rate."""

    hidden: int = 16
    epochs: int = 8
    batch: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    hide_rating: float = 0.35
    seed: int = 20130


@dataclass(frozen=True)
class TrainedLstm:
    """The network and the mean training loss of each epoch, in squared spreads."""

    lstm: Lstm
    losses: list[float]


def train_lstm(
    margins: NDArray[np.int16], ratings: Floats, spec: LstmSpec, on_epoch: Callable[[int, float], None] | None = None
) -> TrainedLstm:
    """``margins`` int16[n, >= 25] margin(0).. and ``ratings`` float64[n] expected final margins in points.

    ``on_epoch(epoch, loss)`` is called after each epoch, 1 first. Same input and seed, same weights on one machine: one
    thread, no global random state read or left behind.
    """
    import torch

    paths = margins[:, : HALFTIME_MINUTE + 1].astype(np.float64)
    changes = paths[:, HALFTIME_MINUTE:] - paths[:, :HALFTIME_MINUTE]
    scale = np.sqrt((changes**2).mean(axis=0))
    inputs = torch.from_numpy(
        np.ascontiguousarray(steps(paths[:, :HALFTIME_MINUTE], ratings).swapaxes(0, 1) / STEP_UNITS, dtype=np.float32)
    )
    minutes = paths[:, :HALFTIME_MINUTE]
    rule = fit_rule(minutes, changes, ratings)
    # What is left to learn with the rating known, and without it.
    rest = [(changes - apply_rule(rule, minutes, known)) / scale for known in (ratings, None)]
    targets = torch.from_numpy(np.stack(rest).astype(np.float32))
    shuffle = np.random.default_rng(spec.seed)
    losses: list[float] = []
    with _alone(torch, spec.seed):
        layer = torch.nn.LSTM(FEATURES, spec.hidden, batch_first=True)
        head = torch.nn.Linear(spec.hidden, 1)
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
        weights = [*layer.parameters(), *head.parameters()]
        batches = -(-len(paths) // spec.batch)
        optimizer = torch.optim.AdamW(weights, lr=spec.learning_rate, weight_decay=spec.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, spec.learning_rate, total_steps=spec.epochs * batches, pct_start=0.15
        )
        for epoch in range(1, spec.epochs + 1):
            order, total = shuffle.permutation(len(paths)), 0.0
            for rows in np.array_split(order, batches):
                hidden = torch.from_numpy(shuffle.random(len(rows)) < spec.hide_rating)
                seen = inputs[rows].clone()
                seen[hidden, :, 3:] = 0.0
                states, _ = layer(seen)
                wanted = torch.where(hidden[:, None], targets[1, rows], targets[0, rows])
                loss = ((head(states).squeeze(-1) - wanted) ** 2).mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                schedule.step()
                total += float(loss.detach()) * len(rows)
            losses.append(total / len(paths))
            if on_epoch is not None:
                on_epoch(epoch, losses[-1])
        return TrainedLstm(_export(layer, head, scale, rule), losses)


@contextmanager
def _alone(torch: Any, seed: int) -> Iterator[None]:
    """One thread, own random state; both as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _export(layer: Any, head: Any, scale: Floats, rule: Floats) -> Lstm:
    def array(weight: Any) -> Floats:
        plain: Floats = weight.detach().numpy().astype(np.float64)
        return plain

    def reorder(gates: Floats) -> Floats:
        # torch stacks input, forget, cell, output; Lstm wants the three sigmoids first.
        first, forget, cell, output = np.split(gates, 4, axis=-1)
        return np.ascontiguousarray(np.concatenate([first, forget, output, cell], axis=-1))

    return Lstm(
        input_weights=reorder(array(layer.weight_ih_l0).T),
        hidden_weights=reorder(array(layer.weight_hh_l0).T),
        gate_bias=reorder(array(layer.bias_ih_l0) + array(layer.bias_hh_l0)),
        head_weights=array(head.weight)[0],
        head_bias=array(head.bias),
        scale=scale,
        rule=rule,
    )
