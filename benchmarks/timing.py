"""Times of things done in turns, and their ratios.

What is compared is called one after the other, call by call, so that whatever else the machine does meets all alike. A
ratio is taken within each repetition; its median and the middle half of all repetitions are what is reported. Times are
those of the processor, not of the clock: a call that had to wait for its turn did not take longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Calls = Mapping[str, Callable[[int], object]]


@dataclass(frozen=True)
class Ratio:
    """The median of a ratio's repetitions and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, one: Floats, other: Floats) -> Ratio:
        """``one`` over ``other``, both by repetition."""
        low, median, high = np.quantile(one / other, [0.25, 0.5, 0.75]).tolist()
        return cls(median, low, high)

    def texts(self) -> tuple[str, str]:
        """For a table."""
        return f"{self.median:.2f}", f"{self.low:.2f}..{self.high:.2f}"


def in_turns(calls: Calls, repetitions: int, each: int) -> dict[str, Floats]:
    """Microseconds a call, float64[repetitions] by name; every call is made with 0..each-1 in each repetition."""
    for call in calls.values():
        call(0)
    spent = {name: np.zeros(repetitions) for name in calls}
    for repetition in range(repetitions):
        for place in range(each):
            for name, call in calls.items():
                started = thread_time()
                call(place)
                spent[name][repetition] += thread_time() - started
    return {name: 1e6 * seconds / each for name, seconds in spent.items()}


@contextmanager
def part_timed(owner: Any, attribute: str) -> Iterator[list[float]]:
    """While open, the microseconds of each call of the function that is looked up as ``attribute`` of ``owner``.

    By the clock, which is read far faster than the processor's time: take the median.
    """
    real, spent = getattr(owner, attribute), []

    def timed(*arguments: Any, **named: Any) -> Any:
        started = perf_counter()
        try:
            return real(*arguments, **named)
        finally:
            spent.append(1e6 * (perf_counter() - started))

    setattr(owner, attribute, timed)
    try:
        yield spent
    finally:
        setattr(owner, attribute, real)
