"""The windows a report is made over (week, season, any span) and what is made of each: Evidently's report and rows of
`model_performance`.

A window is about one line of models: the one that made its newest official forecast, which is the champion's. Forecasts
of other lines, or at another level, are counted and left out. The reference are the newest games before both the window
and the end of what the line's first version was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

import pandas as pd

from models.clock import OFFICIAL_MINUTE
from models.history import MARGIN_COLUMNS, History
from models.ratings import rate_history
from monitoring.report_frames import history_frame, settled_frame
from monitoring.report_rows import JudgedRow, MinuteSums, judged_rows, minute_sums, season_start, summed, week_start
from monitoring.reports import KIND, EvidentlyReport, build_evidently_report
from services.store import Store
from services.store_upkeep import Performance

WindowName = Literal["week", "season", "span"]

WEEK_NIGHTS = 7
REFERENCE_GAMES = 1300
LINE = "-line"


@dataclass(frozen=True, slots=True)
class Window:
    """League dates ``since``..``until``, both included."""

    name: WindowName
    since: date
    until: date

    @property
    def kind(self) -> str:
        """What its reports are called in the table `reports`; the week's is the one that was always there."""
        return KIND if self.name == "week" else f"{KIND}-{self.name}"

    @property
    def scope(self) -> str:
        """What its rows are called in `model_performance`."""
        return f"span from {self.since}" if self.name == "span" else self.name


@dataclass(frozen=True)
class Judged:
    """What was made of a window; nothing is stored yet."""

    window: Window
    report: EvidentlyReport
    model_version: str | None
    rows: tuple[Performance, ...]


@dataclass(frozen=True, slots=True)
class League:
    """Whose games and whose models: ``source`` of the games, ``history`` sources of the reference."""

    source: str
    history: tuple[str, ...]
    model_name: str


def nightly_windows(store: Store, league: League, night: date) -> tuple[Window, Window]:
    """The newest seven league dates with settled games, and the season so far; each at least the night itself."""
    week = week_start(store.engine, league.source, night, WEEK_NIGHTS)
    season = season_start(store.engine, league.source, night)
    return Window("week", week or night, night), Window("season", season or night, night)


def judge(store: Store, league: League, window: Window) -> Judged:
    """The report of ``window`` and its figures; few games or none say so in its body. Raises StoreError."""
    found = judged_rows(store.engine, league.source, window.since, window.until)
    newest = found[-1] if found else None
    rows = tuple(row for row in found if newest and (row.lineage, row.alpha) == (newest.lineage, newest.alpha))
    reference, trained_through = _reference(store, league, window, newest)
    made = build_evidently_report(
        settled_frame(rows),
        reference,
        window=f"{window.name}: {league.source} games of {window.since} to {window.until}",
        model_version=newest.model_version if newest else None,
        alpha=newest.alpha if newest else 0.05,
        # By its games, so that nights reported later stand in Evidently's UI where they belong.
        at=datetime.combine(window.until, time(12)),
    )
    sums = _sums(store, league, window, newest)
    line = summed(sums, newest.model_version) if newest else ()
    body = made.body | {
        "scope": window.name,
        "since": window.since.isoformat(),
        "until": window.until.isoformat(),
        "source": league.source,
        "lineage": newest.lineage if newest else None,
        "reference": f"{made.body['n_reference']} games before {trained_through}",
        "others_left_out": len(found) - len(rows),
        "by_version": [_entry(one, "model_version") for one in sums if one.minute == OFFICIAL_MINUTE],
        "by_minute": [_entry(one, "minute") for one in line],
    }
    report = EvidentlyReport(body, made.snapshot)
    version = newest.model_version if newest else None
    return Judged(window, report, version, _performance(store, league, window, report, sums, line))


def _reference(
    store: Store, league: League, window: Window, newest: JudgedRow | None
) -> tuple[pd.DataFrame | None, date]:
    """The reference (None without history) and the date before which its games were played."""
    before = window.since
    if newest is not None:
        trained = [one.trained_through for one in store.model_history(league.model_name, newest.lineage)]
        before = min([before, *(day + timedelta(days=1) for day in trained)])
    past = store.history_frame(*league.history, before=before)
    if past.empty:
        return None, before
    # Ratings need everything that was played; the comparison needs the newest games.
    ratings = rate_history(History.from_frame(past.drop(columns="source"), league.source))[0]
    kept = past.tail(REFERENCE_GAMES)
    frame = history_frame(
        kept[list(MARGIN_COLUMNS)].to_numpy(),
        OFFICIAL_MINUTE,
        totals=(kept["home_score_24"] + kept["away_score_24"]).to_numpy(dtype=float, na_value=float("nan")),
        ratings=ratings[-len(kept) :],
    )
    return frame, before


def _sums(store: Store, league: League, window: Window, newest: JudgedRow | None) -> tuple[MinuteSums, ...]:
    if newest is None:
        return ()
    found = minute_sums(store.engine, league.source, newest.lineage, window.since, window.until)
    return tuple(one for one in found if one.alpha == newest.alpha)


def _performance(
    store: Store,
    league: League,
    window: Window,
    report: EvidentlyReport,
    sums: tuple[MinuteSums, ...],
    line: tuple[MinuteSums, ...],
) -> tuple[Performance, ...]:
    """A row for each version and minute, and one for the whole line and minute under its newest version."""
    kept = sums
    if window.name == "season":
        # Every night makes a version. One that forecast nothing in the last week has its row from then, and no game
        # was added to it since.
        week = week_start(store.engine, league.source, window.until, WEEK_NIGHTS) or window.since
        recent = {one.model_version for one in _recent(store, league, report, week, window.until)}
        kept = tuple(one for one in sums if one.model_version in recent)
    effects = {f"drift_{one['column']}": one["distance"] for one in report.body["drift"]}
    whole = report.body["figures"] | effects | {"flags": len(report.flags)}
    return (
        *(_row(league, window, window.scope, one, {}) for one in kept),
        *(
            _row(league, window, window.scope + LINE, one, whole if one.minute == OFFICIAL_MINUTE else {})
            for one in line
        ),
    )


def _recent(store: Store, league: League, report: EvidentlyReport, since: date, until: date) -> tuple[MinuteSums, ...]:
    return minute_sums(store.engine, league.source, str(report.body["lineage"]), since, until)


def _row(league: League, window: Window, scope: str, sums: MinuteSums, more: dict[str, Any]) -> Performance:
    return Performance(
        model_name=league.model_name,
        model_version=sums.model_version,
        minute=sums.minute,
        alpha=sums.alpha,
        scope=scope,
        as_of=window.until,
        n=sums.n,
        figures=sums.figures() | more,
    )


def _entry(sums: MinuteSums, name: str) -> dict[str, Any]:
    return {name: getattr(sums, name), "n": sums.n} | sums.figures()
