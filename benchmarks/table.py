"""Rows of figures from all benchmarks, as one table or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.timing import Ratio


@dataclass(frozen=True)
class Row:
    """One measurement: ``value`` in ``unit``, and beside what it was measured in the same run; ``ratio`` is the
    quotient of the two with the middle half of its repetitions, ``target`` what it is meant to be."""

    group: str
    what: str
    value: float
    unit: str
    beside: str = ""
    ratio: Ratio | None = None
    target: str = ""


def show(rows: Sequence[Row], as_json: bool) -> None:
    """Print ``rows`` on standard output."""
    if as_json:
        json.dump({"rows": [asdict(row) for row in rows]}, sys.stdout, indent=1)
        print()
        return
    table = Table(title="Halftime: ratios within one run, never figures across machines")
    for name in ("", "what", "value", "", "ratio", "25..75%", "beside", "target"):
        table.add_column(name, justify="right" if name in ("value", "ratio", "25..75%") else "left")
    for place, row in enumerate(rows):
        new = place == 0 or rows[place - 1].group != row.group
        ratio, spread = ("", "") if row.ratio is None else row.ratio.texts()
        cells = (
            row.group if new else "",
            row.what,
            f"{row.value:,.4g}",
            row.unit,
            ratio,
            spread,
            row.beside,
            row.target,
        )
        if new and place:
            table.add_section()
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
