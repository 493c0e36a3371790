"""Random numbers of the simulated league, addressed instead of drawn.

Every number is a function of (seed, stream, step, slot) alone: a game gives the same bits whether it is simulated by
itself, with its season or with ten seasons, and no random state has to be kept. The mixing function is SplitMix64's
finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"), in 64-bit integer arithmetic, so
it gives the same bits on every machine.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_SLOTS_PER_STEP: Final = 64

Keys = NDArray[np.uint64]
Uniforms = NDArray[np.float64]


def _mix(values: Keys) -> Keys:
    mixed = (values ^ (values >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    mixed ^= mixed >> np.uint64(31)
    return mixed


def stream_keys(seed: int, streams: NDArray[np.int64]) -> Keys:
    """One key a stream (shape as ``streams``), far apart for neighbouring seeds and neighbouring streams."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed {seed} is outside 0..2**63-1: choose a non-negative integer")
    seeded = _mix(np.asarray([seed], dtype=np.uint64) + _GOLDEN)
    return _mix(seeded ^ _mix(streams.astype(np.uint64) * _GOLDEN + _GOLDEN))


def uniforms(keys: Keys, step: int, slots: int, first_slot: int = 0) -> Uniforms:
    """Numbers in [0, 1) of shape (slots, len(keys)): row i is slot ``first_slot + i`` of ``step`` in every stream."""
    if first_slot + slots > _SLOTS_PER_STEP:
        raise ValueError(f"slots {first_slot}..{first_slot + slots - 1} of a step: a step has {_SLOTS_PER_STEP}")
    counters = np.arange(first_slot + 1, first_slot + slots + 1, dtype=np.uint64) + np.uint64(step * _SLOTS_PER_STEP)
    mixed = _mix(keys[np.newaxis, :] + (counters * _GOLDEN)[:, np.newaxis])
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(seed: int, stream: int, count: int) -> NDArray[np.float64]:
    """``count`` standard normal numbers of one stream, by the inverse distribution function (a slow, exact path)."""
    keys = stream_keys(seed, np.full(count, stream, dtype=np.int64)) + np.arange(count, dtype=np.uint64) * _SECOND
    inverse = NormalDist().inv_cdf
    return np.array([inverse(max(float(u), 2.0**-53)) for u in uniforms(_mix(keys), 0, 1)[0]])
