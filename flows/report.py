"""The night's report and the Evidently report, from the tables; stored there, and the first as a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import structlog

from flows import wiring
from models.clock import OFFICIAL_MINUTE
from models.history import MARGIN_COLUMNS
from monitoring.night import NightReport, build_night_report
from monitoring.night_html import write_html
from monitoring.queries import night_rows, settled_rows
from services.settings import Settings
from services.store import Store

log = structlog.get_logger("report")

NIGHT, CLIENT_TIMES = "night", "client_times"
WINDOW_DAYS = 7
REFERENCE_GAMES = 1300


class NoNight(LookupError):
    """There is no night to report on."""


@dataclass(frozen=True)
class NightlyResult:
    """What the nightly report stored; an id is None when exactly that report was stored before."""

    league_date: date
    night_id: int | None
    evidently_id: int | None
    evidently_status: str
    settled: int

    def line(self) -> str:
        """One sentence for a log."""
        return f"{self.league_date}: {self.settled} settled forecasts; Evidently: {self.evidently_status}"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "league_date": self.league_date.isoformat(),
            "night_id": self.night_id,
            "evidently_id": self.evidently_id,
            "evidently_status": self.evidently_status,
            "settled": self.settled,
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
    """Builds and stores both reports of ``league_date`` (unset: the newest night with a forecast). Raises NoNight."""
    source = settings.feed_source
    with wiring.store(settings) as store:
        night = league_date or store.newest_night(source)
        if night is None:
            raise NoNight("no night has been forecast yet: run `make night`, or `./halftime up` while games are played")
        report = build_report(store, night, source)
        night_id = store.record_report(NIGHT, night, report.model_dump(mode="json"), report.model.version or "")
        write_page(settings, report)
        evidently_id, status = _evidently(store, settings, report)
        _performance(store, settings, report)
    return NightlyResult(night, night_id, evidently_id, status, report.totals.settled)


def _evidently(store: Store, settings: Settings, report: NightReport) -> tuple[int | None, str]:
    # Importing Evidently costs two seconds and 300 MB: only here, where it is used.
    from monitoring.reports import KIND, build_evidently_report, history_frame, settled_frame

    night = report.league_date
    since = night - timedelta(days=WINDOW_DAYS - 1)
    current = settled_frame(settled_rows(store.engine, report.source, since, night))
    past = store.history_frame(*settings.history_sources, before=since).tail(REFERENCE_GAMES)
    reference = history_frame(past[list(MARGIN_COLUMNS)].to_numpy(), OFFICIAL_MINUTE) if len(past) else None
    made = build_evidently_report(
        current, reference, window=f"{report.source} games of {since} to {night}", model_version=report.model.version
    )
    return store.record_report(KIND, night, made.body, report.model.version or ""), made.status


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
