"""The Grafana dashboard as a file: ``python -m monitoring.dashboards`` writes it, ``--check`` compares.

It is code so that its queries are held to the metrics by tests; Grafana reads the file. Beside it in
``monitoring/dashboards/``, a folder and no package, lie the files that provision it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable
from grafana_foundation_sdk.builders.dashboard import Row as RowBuilder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from monitoring.dashboard_live import LIVE, LOOPS
from monitoring.dashboard_panels import ACCURACY, MODEL, SERVING, STATE
from monitoring.dashboard_parts import COLUMNS, DATASOURCE, Row, built, placed
from monitoring.dashboard_windows import WINDOWS

FILE = Path(__file__).with_name("dashboards") / "halftime.json"
UID = "halftime"
ROWS: tuple[Row, ...] = (STATE, LIVE, SERVING, ACCURACY, WINDOWS, MODEL, LOOPS)


def dashboard_json(rows: Sequence[Row] = ROWS) -> str:
    """The whole dashboard as Grafana reads it; the same code gives the same text. Raises ValueError for a panel that is
    wider than the grid."""
    made = (
        Dashboard("Halftime")
        .uid(UID)
        .description("Forecasts of NBA halftime margins: whether they are made, how good they are, what waits.")
        .tags(["halftime"])
        .timezone("America/New_York")
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        # What is changed in Grafana is lost with the next file: change the code.
        .readonly()
    )
    for variable in _variables():
        made.with_variable(variable)
    number = 0
    for row, y, panels in placed(rows):
        number += 1
        made.with_row(RowBuilder(row.title).id(number).grid_pos(GridPos(h=1, w=COLUMNS, x=0, y=y)))
        for panel, x, top in panels:
            number += 1
            made.with_panel(built(panel, number, x, top))
    # Sorted, so that another order inside the library changes nothing.
    plain = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _variables() -> Iterator[DatasourceVariable | QueryVariable]:
    yield DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    everything = VariableOption(text="All", value="$__all")
    yield (
        _labels("source", "Games", "nba_predictions_total")
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
    )
    # One at a time: it is also the target that coverage is held to.
    promised = VariableOption(text="0.95", value="0.95")
    yield _labels("level", "Level", "halftime_settled_games").current(promised)
    month = VariableOption(text="30d", value="30d")
    yield _labels("window", "Window", "halftime_window_settled_games").current(month)


def _labels(name: str, text: str, metric: str) -> QueryVariable:
    """A choice among the values of a label of ``metric``."""
    variable = QueryVariable(name).label(text).query(f"label_values({metric}, {name})").datasource(DATASOURCE)
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; with ``--check`` write nothing, 1 when it differs from what the code makes. OSError passes
    through when the file cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.dashboards", description="Write the Grafana dashboard.")
    parser.add_argument("--check", action="store_true", help="compare with the stored file instead of writing it")
    parser.add_argument("--file", type=Path, default=FILE, help="where it is (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    text = dashboard_json()
    if not chosen.check:
        chosen.file.write_text(text, encoding="utf-8")
        return 0
    stored = chosen.file.read_text(encoding="utf-8") if chosen.file.is_file() else None
    if stored == text:
        return 0
    what = "is missing" if stored is None else "differs from the code"
    print(f"{chosen.file} {what}: run `python -m monitoring.dashboards`", file=sys.stderr)  # noqa: T201 - a command's answer
    return 1


if __name__ == "__main__":
    sys.exit(main())
