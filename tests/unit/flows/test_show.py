"""What services say is shown as it is: it is not markup."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from flows import show
from flows.operate import StackReport
from infra.check import bad
from infra.service import Event, State

SAID = "ended with status 1: [/tmp/socket] is [bold]taken"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    text = StringIO()
    monkeypatch.setattr(show, "console", Console(file=text, width=200))
    return text


def test_a_service_may_say_anything(written: StringIO) -> None:
    with show.ProgressWatcher() as watcher:
        watcher.stage("starting")
        watcher.service(Event("redis", State.BACKOFF, SAID, datetime.now(UTC)))
        watcher.share("[/loading]", 0.5)
    assert SAID in written.getvalue()
    assert "[/loading]" in written.getvalue()


def test_status_shows_each_finding_with_what_to_do(written: StringIO) -> None:
    show.console.print(StackReport(None, [bad("redis", SAID, "see [logs]")]).table())
    assert SAID in written.getvalue()
    assert "see [logs]" in written.getvalue()
    assert "make up" in written.getvalue()
