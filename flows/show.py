"""How the command line shows things: on standard error, so that standard output is for results alone."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows.watching import NightProgress, Watcher
from infra.service import Event, State

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
