"""The autoscaler's numbers on a night's requests: the simulation behind docs/autoscaling.md.

    python -m benchmarks.autoscaling [--plot docs/autoscaling.png] [--json]

The moments are those of a simulated night's forecasts; the crowd that asks at them is invented, and as large as it must
be to need more than two pods. How a pod answers is taken from docs/benchmarks.md. Seconds are wall seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.hpa import SYNC_S, Autoscaler, Scaler
from benchmarks.table import Row, show
from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE, elapsed_s
from services.replay_sources import simulated_slate
from services.settings import ROOT

MANIFEST = ROOT / "infra" / "kubernetes" / "base" / "forecaster.yaml"
PEAK, SHARE, CALM_S = 8.5, 0.05, 900.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """How one pod answers: requests a second at most, requests in flight at most (what comes on top gets 503), the
    processor time it then takes in percent of what it requests, and seconds from being wanted to being ready."""

    answers_s: float = 231.0
    most_waiting: float = 64.0
    cpu_percent: float = 100.0
    starts_s: float = 20.0


@dataclass(frozen=True)
class Night:
    """What happened, a value each second: requests that came and were turned away, pods wanted and ready, and the wait
    of a request that came then (seconds)."""

    came: Floats
    refused: Floats
    wanted: Floats
    ready: Floats
    waited_s: Floats


def scaler_of(manifest: Path = MANIFEST) -> Scaler:
    """The autoscaler of a manifest's file."""
    documents = yaml.safe_load_all(manifest.read_text(encoding="utf-8"))
    return Scaler.of(next(one for one in documents if one["kind"] == "HorizontalPodAutoscaler"))


def moments() -> list[tuple[float, int]]:
    """(seconds after the first tip-off, minute) at which each minute of a simulated night's first halves was over."""
    found = []
    for game in simulated_slate().games:
        times = np.array([elapsed_s(row.period, row.remaining_s) for row in game.rows if row.period <= 2])
        at_s = [row.at_s for row in game.rows if row.period <= 2]
        found += [(at_s[int(np.argmax(times >= 60 * minute))], minute) for minute in range(1, HALFTIME_MINUTE)]
    first_s = min(at_s for at_s, _ in found)
    return sorted((at_s - first_s, minute) for at_s, minute in found)


def crowd(peak: float, *, share: float = SHARE, hurry_s: float = 60.0) -> Floats:
    """Requests in each second of the night, ``peak`` at most.

    At 6:00 of the second quarter everybody who follows a game asks, two of three within ``hurry_s``; at each other
    minute a ``share`` of them.
    """
    told = moments()
    seconds = np.arange(CALM_S + told[-1][0] + 1800.0)
    asked = np.zeros_like(seconds)
    for at_s, minute in told:
        after_s = seconds - CALM_S - at_s
        weight = 1.0 if minute == OFFICIAL_MINUTE else share
        asked += np.where(after_s >= 0, weight * np.exp(-np.maximum(after_s, 0.0) / hurry_s), 0.0)
    crowd_s: Floats = peak * asked / asked.max()
    return crowd_s


def serve(came: Sequence[float] | Floats, scaler: Scaler | int, curve: Curve) -> Night:
    """The night with an autoscaler, or with as many pods as an integer says."""
    fixed = isinstance(scaler, int)
    controller = None if isinstance(scaler, int) else Autoscaler(scaler)
    pods = scaler if isinstance(scaler, int) else scaler.least
    born = [float("-inf")] * pods
    queue = 0.0
    told: list[tuple[float, float, int, int, float]] = []
    busy: list[float] = []
    waiting: list[float] = []
    for second, asked in enumerate(came):
        if not fixed and controller is not None and second and second % SYNC_S == 0:
            ready = sum(second >= at_s for at_s in born)
            metrics = {"cpu": float(np.mean(busy)), "halftime_http_requests_in_flight": float(np.mean(waiting))}
            wanted = controller.decide(float(second), len(born), ready, metrics)
            # The newest go first, as of a StatefulSet.
            born = [*born, *[second + curve.starts_s] * (wanted - len(born))][:wanted]
            busy, waiting = [], []
        ready = max(1, sum(second >= at_s for at_s in born))
        load = min(asked / (ready * curve.answers_s), 1.0)
        # Chance alone makes some wait (M/M/1); what cannot be answered in time waits for its turn.
        chance = min(load / (1.0 - load), curve.most_waiting) if load < 1 else curve.most_waiting
        queue = max(0.0, queue + asked - ready * curve.answers_s)
        refused = max(0.0, queue - ready * curve.most_waiting)
        queue -= refused
        flying = min(max(chance, queue / ready) if queue else chance, curve.most_waiting)
        busy.append(curve.cpu_percent * (1.0 if queue else load))
        waiting.append(flying)
        told.append((asked, refused, len(born), ready, flying / curve.answers_s))
    columns = np.array(told).T
    return Night(*columns)


def burst(came: Floats, *, above: float) -> tuple[int, int]:
    """First and last second of the night's largest burst: where requests stay above ``above`` around the peak."""
    peak = int(np.argmax(came))
    low = np.flatnonzero(came <= above)
    return int(low[low < peak].max()) + 1, int(low[low > peak].min()) - 1


def run(curve: Curve | None = None) -> tuple[list[Row], Night]:
    """The rows of this benchmark, and the night as the manifest has it."""
    curve = curve or Curve()
    came = crowd(PEAK * curve.answers_s)
    whole = scaler_of()
    cpu = replace(whole, targets={"cpu": whole.targets["cpu"]})
    nights: dict[str, Scaler | int] = {"the manifest": whole, "processor time alone": cpu}
    nights |= {"five at least": replace(whole, least=5), "two pods": 2, "ten pods": 10}
    begins, ends = burst(came, above=whole.least * curve.answers_s)
    rows = [
        Row("the crowd", "largest burst", float(came.max()), "requests a second"),
        Row("the crowd", "more than two pods can answer", float(ends - begins), "s"),
    ]
    for name, scaler in nights.items():
        night = serve(came, scaler, curve)
        rows.append(Row(name, "turned away", float(100 * night.refused.sum() / came.sum()), "% of requests"))
        rows.append(Row(name, "longest wait", float(1000 * night.waited_s.max()), "ms"))
        rows.append(Row(name, "what it takes", float(night.wanted.sum() / 3600), "pod hours"))
        if isinstance(scaler, Scaler):
            full = np.flatnonzero(night.ready[begins:] >= scaler.most)
            rows.append(Row(name, "ten ready after", float(full[0]) if len(full) else float("nan"), "s of the burst"))
            rows.append(Row(name, "turns", float(turns(night)), "of direction"))
    return rows, serve(came, whole, curve)


def turns(night: Night) -> int:
    """How often the number of pods began to move the other way."""
    moves = np.sign(np.diff(night.wanted))
    moves = moves[moves != 0]
    return int((np.diff(moves) != 0).sum())


def plot(night: Night, path: Path, curve: Curve) -> None:
    """Requests and pods of the night as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    minutes = (np.arange(len(night.came)) - CALM_S) / 60
    asked = night.came / curve.answers_s
    axes.fill_between(minutes, asked, color="#c9d6e8", label="requests, in what one pod can answer")
    axes.step(minutes, night.wanted, where="post", color="#1d428a", linewidth=2.2, label="pods wanted")
    axes.step(minutes, night.ready, where="post", color="#c8102e", linewidth=0.9, label="pods ready")
    axes.set(xlabel="minutes after the first tip-off", ylim=(0, 11), xlim=(minutes[0], minutes[-1]))
    axes.legend(frameon=False, loc="upper center", ncols=3, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the figures, and draw them when asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autoscaling", description=__doc__)
    parser.add_argument("--plot", type=Path, help="draw the night into this PNG")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    asked = parser.parse_args()
    rows, night = run()
    show(rows, asked.json)
    if asked.plot is not None:
        plot(night, asked.plot, Curve())


if __name__ == "__main__":
    main()
