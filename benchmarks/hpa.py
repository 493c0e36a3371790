"""The algorithm of Kubernetes' HorizontalPodAutoscaler, as documented, to try a manifest's numbers without a cluster.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ ("Algorithm details", "Configurable scaling
behavior"): desired = ceil(current * metric / target) for each metric, and the largest wins; a ratio within 10 % of 1
changes nothing; pods that are not ready count as idle when more are asked for; of the recommendations in a window of
stabilization the most cautious one is taken; policies limit the change within their period.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

TOLERANCE = 0.1
SYNC_S = 15.0


@dataclass(frozen=True)
class Policy:
    """At most ``value`` pods, or percent of those at its begin, in ``period_s`` seconds."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_s: float


@dataclass(frozen=True)
class Rules:
    """One direction: its policies, of which the one that allows most counts, and its window in seconds."""

    policies: tuple[Policy, ...]
    window_s: float


@dataclass(frozen=True)
class Scaler:
    """What a manifest of kind HorizontalPodAutoscaler says; ``targets`` are each metric's for one pod."""

    least: int
    most: int
    targets: Mapping[str, float]
    up: Rules
    down: Rules

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Scaler:
        """From the manifest. A metric of processor time is called ``cpu``, its target in percent of what is requested.

        Raises KeyError and ValueError for a manifest of another form, as one whose policies do not say Max.
        """
        spec = manifest["spec"]
        behavior = spec["behavior"]
        if {behavior[way]["selectPolicy"] for way in ("scaleUp", "scaleDown")} != {"Max"}:
            raise ValueError("selectPolicy is not Max in both directions: only that is known here")
        return cls(
            spec["minReplicas"],
            spec["maxReplicas"],
            dict(_target(metric) for metric in spec["metrics"]),
            _rules(behavior["scaleUp"]),
            _rules(behavior["scaleDown"]),
        )


@dataclass
class Autoscaler:
    """The controller's memory of one workload; ask it every ``SYNC_S`` seconds with times that only go on."""

    scaler: Scaler
    _said: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, at_s: float, pods: int, ready: int, metrics: Mapping[str, float]) -> int:
        """Pods there shall be. ``pods`` are wanted now, ``ready`` of them answer; ``metrics`` are means over these."""
        raw = max(_desired(pods, ready, metrics[name], target) for name, target in self.scaler.targets.items())
        wanted = self._stabilized(at_s, pods, raw)
        self._said.append((at_s, raw))
        if wanted > pods:
            wanted = min(wanted, self._limit_up(at_s, pods))
        elif wanted < pods:
            wanted = max(wanted, self._limit_down(at_s, pods))
        wanted = min(max(wanted, self.scaler.least), self.scaler.most)
        if wanted != pods:
            self._changes.append((at_s, wanted - pods))
        return wanted

    def _stabilized(self, at_s: float, pods: int, raw: int) -> int:
        rules = self.scaler
        floor = min([raw, *(n for then, n in self._said if then > at_s - rules.up.window_s)])
        ceiling = max([raw, *(n for then, n in self._said if then > at_s - rules.down.window_s)])
        return min(max(pods, floor), ceiling)

    def _begun_with(self, at_s: float, pods: int, period_s: float) -> int:
        return pods - sum(change for then, change in self._changes if then > at_s - period_s)

    def _limit_up(self, at_s: float, pods: int) -> int:
        """Rounded up, as the controller does: a percentage of few pods is still one."""
        return max(
            begun + policy.value if policy.kind == "Pods" else math.ceil(begun * (1 + policy.value / 100))
            for policy in self.scaler.up.policies
            for begun in [self._begun_with(at_s, pods, policy.period_s)]
        )

    def _limit_down(self, at_s: float, pods: int) -> int:
        return min(
            begun - policy.value if policy.kind == "Pods" else int(begun * (1 - policy.value / 100))
            for policy in self.scaler.down.policies
            for begun in [self._begun_with(at_s, pods, policy.period_s)]
        )


def _desired(pods: int, ready: int, metric: float, target: float) -> int:
    """What one metric asks for. Pods that are not ready count as idle when it asks for more, else not at all."""
    if ready == 0:
        return pods
    ratio = metric / target
    starting = ready < pods and ratio > 1
    if starting:
        ratio *= ready / pods
    if abs(ratio - 1) <= TOLERANCE or (starting and ratio < 1):
        return pods
    # Rounded first: 1.4 * 5 is a little more than 7 in binary.
    return math.ceil(round(ratio * (pods if starting else ready), 9))


def _target(metric: Mapping[str, Any]) -> tuple[str, float]:
    if metric["type"] == "Resource":
        return str(metric["resource"]["name"]), float(metric["resource"]["target"]["averageUtilization"])
    return str(metric["pods"]["metric"]["name"]), float(metric["pods"]["target"]["averageValue"])


def _rules(said: Mapping[str, Any]) -> Rules:
    policies: Sequence[Mapping[str, Any]] = said["policies"]
    return Rules(
        tuple(Policy(one["type"], one["value"], float(one["periodSeconds"])) for one in policies),
        float(said["stabilizationWindowSeconds"]),
    )
