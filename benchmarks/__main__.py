"""Every benchmark, one after the other: ``make bench``. Ratios within one run, never figures across machines.

python -m benchmarks [--json] [--long] [--only NAME ...]
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.table import Row, show
from services.settings import ROOT

SHORT = ("forecast", "growth", "season", "service", "predict", "trace", "shared")
LONG = ("training", "board")


def main() -> None:
    """Run the benchmarks asked for and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--long", action="store_true", help="training, backtest and a full board too: 20 minutes")
    parser.add_argument("--only", nargs="+", choices=[*SHORT, *LONG], help="these and no others")
    asked = parser.parse_args()
    assert Path.cwd() == ROOT, f"run from {ROOT}"
    rows: list[Row] = []
    for name in asked.only or [*SHORT, *(LONG if asked.long else ())]:
        rows += import_module(f"benchmarks.bench_{name}").run()
    show(rows, asked.json)


if __name__ == "__main__":
    main()
