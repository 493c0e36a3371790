"""Tiny programs that stand for services: they take milliseconds to start and do one thing each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.service import Service

FOREVER = "import time\nwhile True: time.sleep(0.05)"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(0.05)"
# Starts a child of its own that ignores SIGTERM, writes its process id to a file, and goes on.
PARENT = (
    "import pathlib, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-S', '-c', {deaf!r}])\n"
    "pathlib.Path({file!r}).write_text(str(child.pid))\n"
    "while True: time.sleep(0.05)"
)
# Its child leaves the process group, as some servers' workers do.
ESCAPEE = PARENT.replace("'-c', {deaf!r}]", "'-c', {deaf!r}], start_new_session=True")


def run(code: str) -> Callable[[], list[str]]:
    """A command that runs some Python without anything installed."""
    return lambda: [sys.executable, "-I", "-S", "-c", code]


def touching(code: str, file: Path) -> str:
    """The program with a file made once it is set up and begins to wait."""
    return code.replace("while True", f"open({str(file)!r}, 'w').close()\nwhile True", 1)


def fake(name: str, code: str = FOREVER, **options: Any) -> Service:
    """A service that is ready as soon as it lives."""
    return Service(name, run(code), **{"settle_s": 0.0, "stop_grace_s": 2.0, **options})


def parent(name: str, file: Path, *, escapes: bool = False, **options: Any) -> Service:
    """A service whose child ignores SIGTERM; the child's process id is in `file`."""
    code = (ESCAPEE if escapes else PARENT).format(deaf=DEAF, file=str(file))
    return fake(name, code, ready=lambda: None if file.exists() and file.read_text() else "no child yet", **options)
