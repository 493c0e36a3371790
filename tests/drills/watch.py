"""Which alerts a Prometheus has firing, noted once a second, and what each fault of a drill brought about."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from tests.support.running_prometheus import Prometheus

LOOK_EVERY_S = 1.0


@dataclass
class Firing:
    """One alert with its labels, from when it was first seen firing to when it no longer was (None: it still is)."""

    name: str
    labels: Mapping[str, str]
    began_at: datetime
    ended_at: datetime | None = None


@dataclass
class Expected:
    """An alert that a fault must bring about; ``labels`` tell it from others of its name. Times are aware UTC."""

    name: str
    fault: str
    injected_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    healed_at: datetime | None = None
    fired_at: datetime | None = None
    cleared_at: datetime | None = None
    told_at: datetime | None = None

    def is_of(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether an alert is this one."""
        return name == self.name and self.labels.items() <= labels.items()

    def seconds(self, end: datetime | None, begin: datetime | None) -> float | None:
        """Seconds between two of its moments, None while one of them is not known."""
        return None if end is None or begin is None else round((end - begin).total_seconds(), 1)

    def row(self) -> dict[str, str | float | None]:
        """What the drill reports of it; durations in seconds."""
        return {
            "alert": self.name,
            "fault": self.fault,
            "fired_s": self.seconds(self.fired_at, self.injected_at),
            "told_s": self.seconds(self.told_at, self.injected_at),
            "cleared_s": self.seconds(self.cleared_at, self.healed_at),
        }


class Watch:
    """Looks at a Prometheus in the background until it is closed."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._now: dict[tuple[tuple[str, str], ...], Firing] = {}
        self.seen: list[Firing] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watch", daemon=True)
        self._thread.start()

    def firing(self, expected: Expected) -> Firing | None:
        """The alert while it is firing."""
        return next((one for one in list(self._now.values()) if expected.is_of(one.name, one.labels)), None)

    def names(self) -> set[str]:
        """All that fire now."""
        return {one.name for one in list(self._now.values())}

    def close(self) -> None:
        """Stops looking."""
        self._stop.set()
        self._thread.join(timeout=20.0)

    def _look_on(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                found = self._prometheus.ask('ALERTS{alertstate="firing"}')
            except httpx.HTTPError:
                continue  # a stopped Prometheus tells nothing: what fired before is not over
            self._note({tuple(sorted(labels.items())) for labels, _ in found}, datetime.now(UTC))

    def _note(self, found: set[tuple[tuple[str, str], ...]], at: datetime) -> None:
        for gone in self._now.keys() - found:
            self._now.pop(gone).ended_at = at
        for new in found - self._now.keys():
            labels = dict(new)
            firing = Firing(labels.pop("alertname"), labels, at)
            self._now[new] = firing
            self.seen.append(firing)


@dataclass
class SideEffect:
    """Alerts that may fire beside those a fault is about, from then until ``ended_at`` (None: for now)."""

    names: tuple[str, ...]
    began_at: datetime
    ended_at: datetime | None = None

    def explains(self, one: Firing) -> bool:
        """Whether an alert is one of them."""
        in_time = self.began_at <= one.began_at and (self.ended_at is None or one.began_at <= self.ended_at)
        return in_time and one.name in self.names


@dataclass
class Record:
    """All that the drill expected and saw."""

    watch: Watch
    began: float = field(default_factory=time.monotonic)
    expected: list[Expected] = field(default_factory=list)
    side_effects: list[SideEffect] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Shows progress to whoever waits."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        print(f"[{minutes:3d}:{seconds:02d}] {text}", flush=True)  # noqa: T201 - a drill is watched

    def unexpected(self) -> Iterator[Firing]:
        """What fired though no fault called for it, the Watchdog apart."""
        for one in self.watch.seen:
            called = any(
                each.is_of(one.name, one.labels) and each.injected_at <= one.began_at for each in self.expected
            )
            beside = any(each.explains(one) for each in self.side_effects)
            if one.name != "Watchdog" and not called and not beside:
                yield one
