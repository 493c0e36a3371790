"""The night's report and the Evidently report, from the tables; stored there, and the first as a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import structlog

from flows import wiring
from models.clock import OFFICIAL_MINUTE
from monitoring.night import NightReport, build_night_report
from monitoring.night_html import write_html
from monitoring.queries import night_rows
from monitoring.report_windows import League, Window, judge, nightly_windows
from monitoring.reports import SNAPSHOT
from monitoring.workspace import add_snapshot, workspace_path
from services.settings import Settings
from services.store import Store

log = structlog.get_logger("report")

NIGHT, CLIENT_TIMES = "night", "client_times"


class NoNight(LookupError):
    """There is no night to report on."""


class WrongSpan(ValueError):
    """A span that ends before it begins."""


@dataclass(frozen=True)
class StoredWindow:
    """A report that is stored: figures and flags for a log or an artifact, where the board shows it (``url``), and
    where Evidently's own page of it is (``page_url``, None when there were not enough games for one)."""

    window: Window
    report_id: int
    new: bool
    status: str
    message: str
    flags: tuple[str, ...]
    figures: dict[str, float | None]
    rows: int
    url: str
    page_url: str | None

    def line(self) -> str:
        """One sentence for a log."""
        return f"{self.window.name} {self.window.since} to {self.window.until}: {self.message}, {self.url}"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        dates = {"since": self.window.since.isoformat(), "until": self.window.until.isoformat()}
        kept = ("report_id", "new", "status", "message", "figures", "rows", "url", "page_url")
        values = {name: getattr(self, name) for name in kept}
        return {"window": self.window.name, **dates, **values, "flags": list(self.flags)}


@dataclass(frozen=True)
class NightlyResult:
    """What the nightly report stored; an id is None when exactly that report was stored before."""

    league_date: date
    night_id: int | None
    settled: int
    windows: tuple[StoredWindow, ...]

    @property
    def evidently_id(self) -> int | None:
        """The week's report."""
        return self.windows[0].report_id if self.windows[0].new else None

    @property
    def evidently_status(self) -> str:
        """The week's status: ok or not_enough_games."""
        return self.windows[0].status

    def line(self) -> str:
        """One sentence for a log."""
        windows = "; ".join(one.line() for one in self.windows)
        return f"{self.league_date}: {self.settled} settled forecasts; Evidently: {windows}"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "league_date": self.league_date.isoformat(),
            "night_id": self.night_id,
            "evidently_id": self.evidently_id,
            "evidently_status": self.evidently_status,
            "settled": self.settled,
            "windows": [one.to_json() for one in self.windows],
        }


def store_client_times(store: Store, night: date, times: Mapping[tuple[str, int], datetime]) -> None:
    """Keeps when the probe received each forecast, so that the report can be made again later."""
    if times:
        body = {f"{game_id}:{revision}": at.isoformat() for (game_id, revision), at in sorted(times.items())}
        store.record_report(CLIENT_TIMES, night, body)


def client_times(store: Store, night: date) -> dict[tuple[str, int], datetime]:
    """The earliest arrival of each forecast at a probe."""
    earliest: dict[tuple[str, int], datetime] = {}
    for report in store.list_reports(CLIENT_TIMES, night):
        for name, text in report.body.items():
            game_id, _, revision = name.partition(":")
            key, at = (game_id, int(revision)), datetime.fromisoformat(text)
            earliest[key] = min(at, earliest.get(key, at))
    return earliest


def build_report(store: Store, night: date, source: str | None = None) -> NightReport:
    """The night's report from the tables: computed again, it is the same."""
    return build_night_report(night_rows(store.engine, night, source), client_times(store, night))


def page_path(settings: Settings, report: NightReport) -> Path:
    """Where the night's page lies."""
    return settings.home / "reports" / f"night-{report.league_date}-{report.source}.html"


def write_page(settings: Settings, report: NightReport) -> Path:
    """Writes the self-contained page; returns its path."""
    return write_html(report, page_path(settings, report))


def nightly_report(settings: Settings, *, league_date: date | None = None) -> NightlyResult:
    """Builds and stores the reports of ``league_date`` (unset: the newest night with a forecast): the night's own, and
    Evidently's of the week and the season so far. Made again it replaces figures and adds no report. Raises NoNight."""
    source = settings.feed_source
    with wiring.store(settings) as store:
        night = league_date or store.newest_night(source)
        if night is None:
            raise NoNight("no night has been forecast yet: run `make night`, or `./halftime up` while games are played")
        report = build_report(store, night, source)
        night_id = store.record_report(NIGHT, night, report.model_dump(mode="json"), report.model.version or "")
        write_page(settings, report)
        league = _league(settings)
        windows = tuple(_stored(store, settings, one) for one in nightly_windows(store, league, night))
        _performance(store, settings, report)
    return NightlyResult(night, night_id, report.totals.settled, windows)


def span_report(settings: Settings, since: date, until: date) -> StoredWindow:
    """Builds and stores Evidently's report of league dates since..until (both included). Raises WrongSpan."""
    if since > until:
        raise WrongSpan(f"{since} is after {until}: name the first league date, then the last")
    with wiring.store(settings) as store:
        return _stored(store, settings, Window("span", since, until))


def stored_page(settings: Settings, report_id: int) -> str | None:
    """Evidently's page (HTML, about 4 MB) rendered from a stored report, as `/html/ID` shows it; None when it had not
    enough games or is not there. Raises SnapshotError."""
    from monitoring.report_page import report_html

    with wiring.store(settings) as store:
        body = store.report_body(report_id)
    return None if body is None else report_html(body, board_page=f"{settings.board_url}/reports/{report_id}")


def artifact(window: StoredWindow) -> str:
    """What Prefect shows of a stored report, as Markdown: figures, flags, links to the board and Evidently's page."""
    rows = "\n".join(
        f"| {name} | {'not known' if value is None else f'{value:.3f}'} |" for name, value in window.figures.items()
    )
    flags = "\n".join(f"- {flag}" for flag in window.flags) or "Nothing is flagged."
    dates = f"{window.window.name}: {window.window.since} to {window.window.until}"
    links = f"[The report]({window.url})"
    if window.page_url is not None:
        links += f", [Evidently's page of it]({window.page_url})"
    return f"## {dates}\n\n{window.message}. {links}\n\n{flags}\n\n| figure | |\n|---|---|\n{rows}\n"


def tell_prefect(*windows: StoredWindow) -> int:
    """Links each report from the run that made it; how many artifacts were made, none outside a Prefect run."""
    from prefect.artifacts import create_link_artifact, create_markdown_artifact
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        return 0
    for window in windows:
        key, about = f"report-{window.window.name}", window.line()
        create_markdown_artifact(artifact(window), key=key, description=about)
        create_link_artifact(window.url, link_text=about, key=f"{key}-link", description=about)
    return 2 * len(windows)


def _league(settings: Settings) -> League:
    return League(settings.feed_source, settings.history_sources, settings.model_name)


def _stored(store: Store, settings: Settings, window: Window) -> StoredWindow:
    judged = judge(store, _league(settings), window)
    report, version = judged.report, judged.model_version or ""
    made = store.record_report(window.kind, window.until, report.body, version, beside={SNAPSHOT: report.snapshot})
    found = made if made is not None else store.report_id(window.kind, window.until, report.body, version)
    if found is None:
        raise LookupError(f"the {window.name} report was neither stored nor found: look at the database's log")
    store.record_performances(judged.rows)
    add_snapshot(workspace_path(settings), found, report.stored())
    return StoredWindow(
        window,
        found,
        made is not None,
        report.status,
        str(report.body["message"]),
        tuple(report.flags),
        report.body["figures"],
        len(judged.rows),
        f"{settings.board_url}/reports/{found}",
        None if report.snapshot is None else f"{settings.resolved_evidently_url}/html/{found}",
    )


def _performance(store: Store, settings: Settings, report: NightReport) -> None:
    if report.model.version is None or report.mae is None or report.nominal_coverage is None:
        return
    store.record_performance(
        model_name=settings.model_name,
        model_version=report.model.version,
        minute=OFFICIAL_MINUTE,
        alpha=1 - report.nominal_coverage,
        scope="night",
        as_of=report.league_date,
        n=report.n,
        figures={
            "mae": report.mae,
            "mae_persistence": report.mae_persistence,
            "coverage": report.coverage,
            "mean_width": report.mean_width,
            "skill": report.skill.value if report.skill else None,
        },
    )
