"""How a ledger of misses corrects the alpha a calibration set is asked for: three rules, one interface.

``Rolling`` does nothing, ``Aci`` is adaptive conformal inference (Gibbs and Candes 2021), ``Integrator`` the saturating
integral controller of conformal PID control (Angelopoulos, Candes and Tibshirani 2023). docs/calibration.md has the
backtest that chose between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_SMALLEST = 1e-6


def logit(probability: ArrayLike) -> Floats:
    """ln(p / (1 - p))."""
    p = np.asarray(probability, dtype=np.float64)
    odds: Floats = np.log(p / (1.0 - p))
    return odds


class Rule(Protocol):
    """Turns misses beyond those promised into a correction."""

    def corrected(self, logits: Floats, stray: Floats) -> Floats:
        """Logits of the alphas to ask for. ``logits`` float64[k] are those of the alphas promised, ``stray``
        float64[k] the misses beyond those promised so far."""
        ...


@dataclass(frozen=True, slots=True)
class Rolling:
    """No feedback: the rolling set is asked for what was promised."""

    def corrected(self, logits: Floats, stray: Floats) -> Floats:
        """The logits as they are."""
        return logits


@dataclass(frozen=True, slots=True)
class Aci:
    """alpha - ``gamma`` * stray: Gibbs and Candes' update alpha <- alpha + gamma (alpha - miss), summed up."""

    gamma: float = 0.005

    def corrected(self, logits: Floats, stray: Floats) -> Floats:
        """As the class says, kept inside (0, 1)."""
        alphas = 1.0 / (1.0 + np.exp(-logits)) - self.gamma * stray
        return logit(np.clip(alphas, _SMALLEST, 1.0 - _SMALLEST))


@dataclass(frozen=True, slots=True)
class Integrator:
    """logit(alpha) - (pi / 2B) tan(pi stray / 2B), by at most ``most`` either way.

    It hardly acts while the stray is small and ever more strongly as it nears the bound B: among all pulls that keep a
    random walk within B the one that moves alpha least (its stray has the density cos^2, of least Fisher information on
    an interval: Huber 1981, "Robust Statistics", 4.5). ``bound`` is B in games for levels of 95% and more; below them B
    grows as the spread of a fair count of misses does, sqrt(alpha (1 - alpha)), so that every level is held as tightly
    for its noise. With ``most`` 1 the odds of a miss are never changed by more than the factor e.
    """

    bound: float = 5.5
    most: float = 1.0

    def corrected(self, logits: Floats, stray: Floats) -> Floats:
        """As the class says."""
        alphas = 1.0 / (1.0 + np.exp(-logits))
        bounds = self.bound * np.maximum(1.0, np.sqrt(alphas * (1.0 - alphas) / (0.05 * 0.95)))
        near = np.clip(stray / bounds, -0.99, 0.99)
        pull = math.pi / (2.0 * bounds) * np.tan(math.pi / 2.0 * near)
        moved: Floats = logits - np.clip(pull, -self.most, self.most)
        return moved
