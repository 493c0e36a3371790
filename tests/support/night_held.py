"""The command line as it is, but a night waits before it ends its stack, so that a test can look at it.

python -m tests.support.night_held FOLDER replay 2023-02-03 --json

FOLDER/held appears when there is something to look at; FOLDER/go lets the command end.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

import flows.night
from flows import cli

HELD, GO = "held", "go"
PATIENCE_S = 300.0


def _wait(folder: Path) -> None:
    (folder / HELD).touch()
    deadline = time.monotonic() + PATIENCE_S
    while not (folder / GO).exists() and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    place = Path(sys.argv.pop(1))
    flows.night.run_night = partial(flows.night.run_night, hold=partial(_wait, place))  # type: ignore[assignment]
    cli.main()
