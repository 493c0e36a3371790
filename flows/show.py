"""How the command line shows things: on standard error, so that standard output is for results alone."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows.watching import NightProgress, Watcher
from infra.check import Check
from infra.service import Event, State
from services.answer import Prediction

console = Console(stderr=True)


class ProgressWatcher(Watcher):
    """Context manager: a live line for the present stage on a terminal, a plain line per stage elsewhere."""

    def __init__(self) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=False,
            disable=not console.is_terminal,
        )
        self._began = time.monotonic()
        self._task: TaskID | None = None
        self._noted = ""

    def __enter__(self) -> ProgressWatcher:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None and error is None:
            self._bar.update(self._task, total=1.0, completed=1.0, note="")
        self._bar.stop()

    def stage(self, text: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, total=1.0, completed=1.0, note="")
        self._task, self._noted = self._bar.add_task(text, total=None, note=""), ""
        if not console.is_terminal:
            console.print(f"[{time.monotonic() - self._began:4.0f} s] {text}", markup=False, highlight=False)

    def share(self, text: str, done: float) -> None:
        if self._task is not None:
            self._bar.update(self._task, total=1.0, completed=min(done, 1.0), note=text)
        self._plain(text)

    def service(self, event: Event) -> None:
        if self._task is not None:
            self._bar.update(self._task, note=f"{event.service} {event.state.value}")
        if event.state in (State.BACKOFF, State.FAILED):
            said = escape(f"{event.service}: {event.state.value} {event.detail}")
            console.print(f"[yellow]{said}[/yellow]", highlight=False)

    def night(self, progress: NightProgress) -> None:
        note = (
            f"{progress.feed_now:%H:%M}Z  forecast {progress.forecast}/{progress.games}  settled {progress.settled}"
            f"  missed {progress.missed}  void {progress.void}"
        )
        if self._task is not None:
            share = (progress.decided + progress.final + progress.void) / max(1, 2 * progress.games)
            self._bar.update(self._task, total=1.0, completed=share, note=note)
        self._plain(f"forecast {progress.forecast} of {progress.games}, settled {progress.settled}")

    def _plain(self, note: str) -> None:
        if not console.is_terminal and note != self._noted:
            self._noted = note
            console.print(f"  {note}", markup=False, highlight=False)


def url_table(urls: dict[str, str]) -> Table:
    """What runs where, for a person to click."""
    table = Table("what", "where", title="Halftime is up", title_justify="left")
    for name, url in urls.items():
        table.add_row(name, url)
    return table


def check_table(checks: Iterable[Check]) -> Table:
    """What the doctor found, and what to do about it."""
    table = Table("check", "", "finding", "what to do")
    for check in checks:
        mark = "[green]ok[/green]" if check.ok else "[yellow]warn[/yellow]" if check.warning else "[red]FAILED[/red]"
        table.add_row(check.name, mark, escape(check.detail), "" if check.ok else escape(check.remedy))
    return table


def print_prediction(answer: Prediction, out: Console | None = None) -> None:
    """A forecast for a person: the point, who leads at the half, the distribution. On standard output unless told."""
    out = out or Console(highlight=False, soft_wrap=True)
    whole = answer.distribution
    home, away = answer.context.home or "home", answer.context.away or "away"
    out.print(
        f"halftime margin [bold]{answer.point_forecast:+.1f}[/bold], {100 * answer.coverage_probability:.4g}% interval"
        f" {answer.interval_lower:+.1f} to {answer.interval_upper:+.1f} (home minus away, after {answer.minute} min)"
    )
    leads = f"{home} {percent(whole.home_leads)}, tied {percent(whole.tied)}, {away} {percent(whole.away_leads)}"
    out.print(f"lead at the half: [bold]{leads}[/bold]")
    for above in whole.above:
        out.print(f"margin above {above.margin:g}: {percent(above.probability)}")
    quantiles = Table("quantile", *(f"{100 * float(level):g}%" for level in whole.quantiles), box=SIMPLE)
    quantiles.add_row("margin", *(f"{margin:+d}" for margin in whole.quantiles.values()))
    intervals = Table("interval", *(f"{100 * one.level:.6g}%" for one in whole.intervals), box=SIMPLE)
    intervals.add_row("from", *(f"{one.lower:+.1f}" for one in whole.intervals))
    intervals.add_row("to", *(f"{one.upper:+.1f}" for one in whole.intervals))
    out.print(quantiles, intervals)
    out.print(f"model {answer.model_version}, prediction {answer.prediction_id}")


def percent(probability: float) -> str:
    """One decimal; what is not certain is never shown as 0% or 100%."""
    if 0.0 < probability < 0.001:
        return "<0.1%"
    return ">99.9%" if 0.999 < probability < 1.0 else f"{probability:.1%}"
