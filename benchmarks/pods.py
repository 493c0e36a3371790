"""A night's requests met by pods of the forecaster, with the autoscaler's algorithm or a fixed number of them.

A second has its requests, spread evenly over the pods that are ready; each answers as one worker was measured to. The
autoscaler decides every 15 s from what its two metrics say then. Seconds are those of the night.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.curve import Curve
from benchmarks.hpa import SYNC_S, Autoscaler, Scaler
from services.settings import ROOT

KUBERNETES = ROOT / "infra" / "kubernetes"
MANIFEST, ADAPTER = KUBERNETES / "base" / "forecaster.yaml", KUBERNETES / "metrics-adapter.yaml"
IN_FLIGHT = "halftime_http_requests_in_flight"
# Assumed: a node is chosen, the volume attached, the container made. The image lies on the node, or it takes longer.
SCHEDULED_S = 10.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cluster:
    """What the manifests say besides the autoscaler: ``requested`` cores a pod, the seconds that probes may let pass
    until a pod that is ready counts as such, and over how many seconds the mean of requests in flight is taken."""

    requested: float
    probes_s: float
    window_s: float

    def ready_after_s(self, curve: Curve) -> float:
        """Seconds from being wanted to being ready."""
        return SCHEDULED_S + curve.start_s + self.probes_s


@dataclass(frozen=True)
class Night:
    """What happened, a value each second: requests that came, were answered, were refused; pods wanted and ready; the
    waits in ms that half and 99 of 100 of those answered then did not exceed."""

    came: Floats
    answered: Floats
    refused: Floats
    wanted: Floats
    ready: Floats
    p50_ms: Floats
    p99_ms: Floats

    @property
    def refused_percent(self) -> float:
        """Of all requests of the night."""
        return 100.0 * float(self.refused.sum() / self.came.sum())

    @property
    def p99_at_peak_ms(self) -> float:
        """In the second with most requests."""
        return float(self.p99_ms[np.argmax(self.came)])

    @property
    def pod_hours(self) -> float:
        """What the night takes."""
        return float(self.wanted.sum() / 3600.0)

    @property
    def moves(self) -> list[tuple[int, int]]:
        """(second, how many pods more or fewer) of each change."""
        steps = np.diff(self.wanted).astype(int)
        return [(int(second), int(steps[second])) for second in np.flatnonzero(steps)]

    @property
    def turns(self) -> int:
        """How often the number of pods began to move the other way."""
        return sum(first * second < 0 for (_, first), (_, second) in pairwise(self.moves))

    def flaps(self, window_s: float) -> int:
        """How often pods that had come went again within ``window_s``."""
        return sum(
            first > 0 > second and now - then < window_s for (then, first), (now, second) in pairwise(self.moves)
        )


@cache
def scaler_of(manifest: Path = MANIFEST) -> Scaler:
    """The autoscaler of a manifest's file."""
    return Scaler.of(_document(manifest, "HorizontalPodAutoscaler"))


@cache
def cluster_of(manifest: Path = MANIFEST, adapter: Path = ADAPTER) -> Cluster:
    """Requests and probes of a manifest's file, and the window of the adapter's. Raises ValueError for another form."""
    container = _document(manifest, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    rules = yaml.safe_load(adapter.read_text(encoding="utf-8"))["rules"]["custom"]
    queries = [rule["metricsQuery"] for rule in rules if rule["seriesQuery"].startswith(IN_FLIGHT)]
    window = re.search(r"avg_over_time\(.*\[(\d+)s\]\)", queries[0] if queries else "")
    if window is None:
        raise ValueError(f"{adapter.name} gives no mean of {IN_FLIGHT} over some seconds: only that is known here")
    probes = sum(float(container[probe]["periodSeconds"]) for probe in ("startupProbe", "readinessProbe"))
    return Cluster(float(container["resources"]["requests"]["cpu"]), probes, float(window[1]))


def _document(manifest: Path, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all(manifest.read_text(encoding="utf-8"))
    return next(one for one in documents if one["kind"] == kind)


def serve(came: Sequence[float] | Floats, scaler: Scaler | int, curve: Curve, cluster: Cluster) -> Night:
    """The night with an autoscaler, or with as many pods as an integer says."""
    controller = None if isinstance(scaler, int) else Autoscaler(scaler)
    came = np.asarray(came, dtype=np.float64)
    # What each of so many pods does in every second.
    shared = cache(lambda ready: curve.at(came / ready))
    born = [float("-inf")] * (scaler if isinstance(scaler, int) else scaler.least)
    ready_after_s = np.ceil(cluster.ready_after_s(curve))
    rows = np.zeros((len(came), 7))
    processor, gauge = np.zeros(len(came)), np.zeros(len(came))
    for second, asked in enumerate(came):
        if controller is not None and second and second % SYNC_S == 0:
            # A pod's mean begins when it does; one that has only just become ready has none yet.
            pods = [at_s for at_s in born if at_s < second]
            means = [gauge[int(max(0.0, at_s, second - cluster.window_s)) : second].mean() for at_s in pods]
            busy = float(processor[max(0, second - int(SYNC_S)) : second].mean())
            metrics = {"cpu": 100.0 * busy / cluster.requested, IN_FLIGHT: float(np.mean(means))}
            wanted = controller.decide(float(second), len(born), len(pods), metrics)
            # The newest go first, as of a StatefulSet.
            born = [*born, *[second + ready_after_s] * (wanted - len(born))][:wanted]
        ready = sum(at_s <= second for at_s in born)
        one = shared(ready)
        answered, refused = ready * one.answered[second], ready * one.refused[second]
        rows[second] = asked, answered, refused, len(born), ready, one.p50_ms[second], one.p99_ms[second]
        processor[second], gauge[second] = one.processor[second], one.gauge[second]
    return Night(*rows.T)
