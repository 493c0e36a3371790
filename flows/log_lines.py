"""Lines of logs: read as a file grows, chosen by game and request, shown to a person."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What every line of ours has and a person does not need to read again and again.
_FORM = frozenset({"at", "timestamp", "level", "logger", "event"})


class NothingToRead(LookupError):
    """No log, or no line of it, is what was asked for; the message says where it was looked for."""


class Tail:
    """The lines of a growing file, each once, without their newlines. Raises NothingToRead when it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = b""
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise NothingToRead(f"{path} cannot be read: {error.strerror}") from error

    def lines(self) -> Iterator[bytes]:
        """The whole lines since the last call; from the beginning when the file was emptied meanwhile."""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._part = b""
        for piece in self._file:
            self._part += piece
            if self._part.endswith(b"\n"):
                line, self._part = self._part[:-1], b""
                yield line

    def rest(self) -> Iterator[bytes]:
        """What stands after the last newline, if anything: the line of a writer that was killed."""
        if self._part:
            yield self._part
        self._part = b""

    def replaced(self) -> bool:
        """Whether another file has the name now; not while none has it."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass
class Reader:
    """Says of each line what is printed of it, and counts those it could not read.

    ``raw`` prints lines as they are. ``as_text`` lets lines that are no JSON through, unless they are to be raw or
    chosen by an id: other people's programs write such logs.
    """

    game: str | None = None
    request: str | None = None
    raw: bool = False
    as_text: bool = False
    unreadable: int = 0

    def shown(self, lines: Iterable[bytes]) -> Iterator[str]:
        """What is printed of ``lines``, in their order."""
        text_too = self.as_text and not self.raw and self.game is None and self.request is None
        for line in lines:
            event = parsed(line)
            if event is not None:
                if self._wanted(event):
                    yield line.decode().strip() if self.raw else said(event)
            elif text_too:
                yield printable(line.decode("utf-8", "replace"))
            elif line.strip():
                self.unreadable += 1

    def _wanted(self, event: dict[str, Any]) -> bool:
        # What a line does not have is None, and so is what was not asked for.
        return (self.game is None or event.get("game_id") == self.game) and (
            self.request is None or event.get("request_id") == self.request
        )


def parsed(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None when it holds anything else, a bare NaN too."""
    try:
        event = json.loads(line.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def said(event: dict[str, Any]) -> str:
    """An event for a person: a prediction's figures in points and ms, or what a service said with its values."""
    at = str(event.get("timestamp", event.get("at", "")))[:19].replace("T", " ")
    parts = [f"{at}Z" if at else ""]
    if event.get("event") == "prediction" and "prediction_id" in event:
        home, away = event.get("home"), event.get("away")
        parts += [
            str(event.get("game_id") or "no game"),
            f"{home}-{away}" if home and away else "",
            f"minute {event.get('minute')}",
            f"margin {_figure(event.get('margin'), '+g')}",
            f"forecast {_figure(event.get('point'), '+.1f')}",
            f"[{_figure(event.get('lower'), '+.1f')}, {_figure(event.get('upper'), '+.1f')}]",
            f"alpha {_figure(event.get('alpha'), 'g')}",
            f"model {event.get('model_version')}",
            f"{_figure(event.get('duration_ms'), '.1f')} ms",
            f"request {event.get('request_id')}",
        ]
    else:
        parts += [str(event.get("level", "")), str(event.get("event", ""))]
        parts += [f"{name}={value}" for name, value in event.items() if name not in _FORM]
    return printable("  ".join(part for part in parts if part))


def _figure(value: object, form: str) -> str:
    # Only what can be shown in the form is: a line may hold anything, a whole number too large for a float too.
    return format(value, form) if isinstance(value, float) else str(value) if isinstance(value, int) else "?"


def printable(text: str) -> str:
    """``text`` on one line, with what could move a terminal's cursor or change its colours spelled out."""
    return "".join(
        sign if sign.isprintable() or sign == "\t" else sign.encode("unicode_escape", "backslashreplace").decode()
        for sign in text
    )
