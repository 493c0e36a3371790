"""Remembers what was broadcast, as Redis does: of one subject nothing old after something newer."""

from __future__ import annotations

from services.broadcast import Event


class Told:
    """A publisher in memory; ``broken`` is raised after an event was noted."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.broken: Exception | None = None
        self._versions: dict[tuple[str, str], int] = {}

    def publish(self, event: Event, subject: str | None = None, version: int = 0) -> str | None:
        key = (event.game_id, subject or "")
        if subject is not None and version <= self._versions.get(key, -1):
            return None
        self.events.append(event)
        if self.broken is not None:
            raise self.broken
        self._versions[key] = version
        return f"{len(self.events)}-0"

    def of(self, kind: str, game_id: str | None = None) -> list[Event]:
        """Those of one type, of one game if one is named."""
        return [event for event in self.events if event.type == kind and game_id in (None, event.game_id)]
