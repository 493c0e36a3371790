"""Addressed random numbers."""

from __future__ import annotations

import numpy as np
import pytest

from models.league_random import normals, stream_keys, uniforms

PINNED = [0.36395103842980125, 0.960886692456361]


def test_a_number_depends_on_its_address_alone() -> None:
    together = uniforms(stream_keys(5, np.arange(100)), step=3, slots=8)
    alone = uniforms(stream_keys(5, np.array([42])), step=3, slots=8)
    later_slots = uniforms(stream_keys(5, np.array([42])), step=3, slots=4, first_slot=4)
    assert (together[:, 42] == alone[:, 0]).all()
    assert (alone[4:] == later_slots).all()


def test_numbers_are_the_same_on_every_machine() -> None:
    assert uniforms(stream_keys(1, np.array([22290001])), step=0, slots=2)[:, 0].tolist() == PINNED


def test_neighbouring_seeds_streams_steps_and_slots_are_uncorrelated() -> None:
    streams = np.arange(4000)
    base = uniforms(stream_keys(1, streams), step=0, slots=2)
    others = [
        base[1],
        uniforms(stream_keys(1, streams), step=1, slots=1)[0],
        uniforms(stream_keys(2, streams), step=0, slots=1)[0],
        np.roll(base[0], 1),
    ]
    for other in others:
        assert abs(np.corrcoef(base[0], other)[0, 1]) < 0.05


def test_uniforms_fill_the_unit_interval_evenly() -> None:
    values = uniforms(stream_keys(9, np.arange(20_000)), step=7, slots=1)[0]
    assert 0 <= values.min() < values.max() < 1
    counts = np.histogram(values, bins=10, range=(0, 1))[0]
    assert abs(counts - 2000).max() < 200


def test_normals_have_mean_zero_and_spread_one() -> None:
    values = normals(3, 1, 4000)
    assert abs(values.mean()) < 0.06
    assert abs(values.std() - 1) < 0.05


def test_a_negative_seed_and_too_many_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="seed -1"):
        stream_keys(-1, np.array([1]))
    with pytest.raises(ValueError, match="a step has 64"):
        uniforms(stream_keys(1, np.array([1])), 0, 60, first_slot=10)
