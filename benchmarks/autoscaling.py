"""The autoscaler's numbers on a night's requests: the study behind docs/autoscaling.md.

    python -m benchmarks.autoscaling [--plot docs/autoscaling.png]

The moments of the requests are a recorded night's (``benchmarks.request_trace``), the crowd around them is scaled
(``benchmarks.crowd``), and a pod answers as one worker was measured to (``benchmarks.service_curve``). From the same
files come the same figures; docs/autoscaling.md has the tables that this prints.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.crowd import CALM_S, crowd, followers_for
from benchmarks.curve import Curve, read_curve
from benchmarks.hpa import Scaler
from benchmarks.pods import SCHEDULED_S, Cluster, Floats, Night, cluster_of, scaler_of, serve
from benchmarks.request_trace import Trace, read_trace

# The crowd is as large as it must be to need this many pods in its fullest second.
PEAK_PODS = 8.5


@dataclass(frozen=True)
class Study:
    """The nights by what decides on their pods; ``followers`` of a game; ``bursts`` are the first and last second of
    each time in which the least pods cannot answer all."""

    trace: Trace
    curve: Curve
    cluster: Cluster
    followers: float
    bursts: list[tuple[int, int]]
    nights: dict[str, Night]

    @property
    def told(self) -> Night:
        """The night as the manifest has it."""
        return next(iter(self.nights.values()))

    def full_after_s(self, night: Night) -> int | None:
        """Seconds from the first burst's begin until as many pods were ready as there may be; None: not within it."""
        begins, ends = self.bursts[0]
        full = np.flatnonzero(night.ready[begins : ends + 1] >= scaler_of().most)
        return int(full[0]) if len(full) else None


def bursts_of(came: Floats, *, above: float) -> list[tuple[int, int]]:
    """First and last second of each time in which more than ``above`` requests a second come."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], came > above, [False]]).astype(int)))
    return [(int(first), int(after) - 1) for first, after in zip(edges[::2], edges[1::2], strict=True)]


def study(trace: Trace | None = None, curve: Curve | None = None) -> Study:
    """The committed measurements, unless others are given, put through the manifest and its variants."""
    trace, curve, whole, cluster = trace or read_trace(), curve or read_curve(), scaler_of(), cluster_of()
    followers = followers_for(trace, PEAK_PODS * curve.answers_s)
    came = crowd(trace, followers)
    scalers: dict[str, Scaler | int] = {
        "as the manifest has it": whole,
        "processor time alone": replace(whole, targets={"cpu": whole.targets["cpu"]}),
        "the same with five pods at least": replace(whole, least=5),
        "two pods": 2,
        "ten pods": 10,
    }
    nights = {name: serve(came, scaler, curve, cluster) for name, scaler in scalers.items()}
    return Study(trace, curve, cluster, followers, bursts_of(came, above=whole.least * curve.answers_s), nights)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, *rows]]
    return [line.replace("|  |", "| |") for line in [lines[0], "|" + "---|" * len(head), *lines[1:]]]


def origins(made: Study) -> list[str]:
    """Where the figures of the study come from, as lines of a page."""
    trace, curve = made.trace, made.curve
    starts = f"{min(curve.starts_s):.1f} to {max(curve.starts_s):.1f}"
    peak = float(made.told.came.max())
    return _table(
        ("", "figure", ""),
        [
            (
                "requests of the platform, each a moment",
                f"{len(trace.requests)} in {len(trace.games)} games",
                "recorded",
            ),
            (
                "answers of one pod, at most",
                f"{curve.answers_s:.0f} a second",
                f"measured, {curve.games:,} games remembered",
            ),
            (
                "taken by other programs meanwhile, at most",
                f"{max(one.elsewhere for one in curve.knots):.2f} of {curve.machine.cores} cores",
                f"measured, load average {curve.machine.load_average:.1f} before",
            ),
            (
                "start of the process to ready",
                f"{curve.start_s:.1f} s ({starts}, {len(curve.starts_s)} starts)",
                "measured",
            ),
            ("until the probes have seen it", f"{made.cluster.probes_s:.0f} s", "the manifest"),
            ("node, volume, container; the image is there", f"{SCHEDULED_S:.0f} s", "assumed"),
            ("followers of a game", f"{made.followers:,.0f}", f"scaled: the peak takes {PEAK_PODS:g} pods"),
            ("the fullest second", f"{peak:,.0f} requests", "follows"),
            (
                "more than two pods can answer",
                f"in {sum(last - first + 1 for first, last in made.bursts)} s",
                "follows",
            ),
        ],
    )


def knots(curve: Curve) -> list[str]:
    """The measured curve as lines of a page."""
    return _table(
        ("offered a second", "answered", "refused", "p50, ms", "p99, ms", "in flight", "cores"),
        [
            (
                f"{one.offered:.0f}",
                f"{one.answered:.0f}",
                f"{100 * (1 - one.answered / one.offered):.0f} %",
                f"{one.p50_ms:.0f}",
                f"{one.p99_ms:.0f}",
                f"{one.gauge:.0f}",
                f"{one.processor:.2f}",
            )
            for one in curve.knots
        ],
    )


def outcomes(made: Study) -> list[str]:
    """The nights as lines of a page."""
    window_s = scaler_of().down.window_s
    rows = []
    for name, night in made.nights.items():
        full, fixed = made.full_after_s(night), not night.moves
        rows.append(
            (
                name,
                f"{night.refused_percent:.1f} %",
                f"{night.p99_at_peak_ms:.0f} ms",
                f"{night.p99_ms.max():.0f} ms",
                "-" if fixed else "not in the burst" if full is None else f"after {full} s",
                f"{night.pod_hours:.1f}",
                "-" if fixed else str(night.turns),
                "-" if fixed else str(night.flaps(window_s)),
            )
        )
    head = ("", "refused", "p99 at the peak", "p99 at worst", "ten ready, first burst", "pod hours", "turns", "flaps")
    return _table(head, rows)


def plot(made: Study, path: Path) -> None:
    """Requests, pods and waits of the night as a picture."""
    from matplotlib.figure import Figure

    night = made.told
    figure = Figure(figsize=(9, 7.2), layout="constrained")
    requests, pods, waits = figure.subplots(3, 1, sharex=True)
    minutes = (np.arange(len(night.came)) - CALM_S) / 60
    requests.fill_between(minutes, night.came, color="#c9d6e8", label="came")
    requests.plot(minutes, night.answered, color="#1d428a", linewidth=1.0, label="answered")
    requests.plot(minutes, night.refused, color="#c8102e", linewidth=1.0, label="refused")
    requests.set(ylabel="requests a second", ylim=(0, None))
    pods.step(minutes, night.wanted, where="post", color="#1d428a", linewidth=2.2, label="wanted")
    pods.step(minutes, night.ready, where="post", color="#c8102e", linewidth=0.9, label="ready")
    pods.set(ylabel="pods", ylim=(0, 13))
    waits.plot(minutes, night.p99_ms, color="#c8102e", linewidth=1.0, label="99 of 100 answered within")
    waits.plot(minutes, night.p50_ms, color="#1d428a", linewidth=1.0, label="half of them within")
    waits.set(
        ylabel="ms",
        yscale="log",
        ylim=(1, 20_000),
        xlabel="minutes after the first tip-off",
        xlim=(minutes[0], minutes[-1]),
    )
    for axes in (requests, pods, waits):
        axes.legend(frameon=False, loc="upper right", ncols=3, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Print the tables of docs/autoscaling.md, and draw its picture when asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autoscaling", description=__doc__)
    parser.add_argument("--plot", type=Path, help="draw the night into this PNG")
    asked = parser.parse_args()
    made = study()
    print("\n".join([*origins(made), "", *knots(made.curve), "", *outcomes(made)]))
    if asked.plot is not None:
        plot(made, asked.plot)


if __name__ == "__main__":
    main()
