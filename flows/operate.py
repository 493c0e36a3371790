"""Bringing the stack up for good, and saying how it stands."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

from rich.markup import escape
from rich.table import Table

from flows.outside import require_outside
from flows.serving import await_champion
from flows.show import ProgressWatcher
from flows.slate import check_night, league_today, pick_night
from infra import prometheus, services_table
from infra.detached import read_status, start_detached, stop_detached
from infra.doctor import Check, check_all
from infra.local import signals_unwind
from infra.runfile import StackRunningError, StackStatus
from services.replay_control import ReplayControl
from services.settings import Settings, SettingsError


def bring_up(settings: Settings, *, live: bool) -> dict[str, str]:
    """Starts the stack, loads history and trains a champion when there is none; returns name -> URL.

    With ``live`` the poller and predictor follow the feed in force. A stack that this call started and could not
    prepare is stopped again. Raises SettingsError, ServerAway and what starting and training raise.
    """
    from flows.night import prepare  # it brings scipy and pandas, which `status` does without

    if live and settings.feed == "nba" and settings.league_source == "simulated":
        raise SettingsError(
            "live NBA games cannot be forecast from the simulated league: set HALFTIME_DATA to recorded games, or run"
            " `./halftime up`, `./halftime backfill --source archive --seasons 2018-2024` and start again with"
            " HALFTIME_SOURCE=archive"
        )
    require_outside(settings)
    running = read_status(settings)
    ran = running is not None and running.running
    if live and running is not None and ran and running.service("poller") is None:
        raise StackRunningError("a stack without a feed runs over this data folder: `make down` first")
    names = services_table.here((*services_table.UP, *services_table.ALERTING))
    night: date = league_today()
    replaying = live and settings.feed == "replay"
    if replaying:
        night = settings.replay_date or pick_night(settings)
        check_night(settings, night)
        settings = settings.model_copy(update={"replay_date": night, "replay_hold": True})
        names += services_table.REPLAY
    if live:
        names += services_table.LIVE
    with ProgressWatcher() as watcher:
        watcher.stage("starting the stack")
        status = start_detached(settings, names, on_event=watcher.service)
        try:
            with signals_unwind():
                champion = prepare(settings, night, watcher)
                watcher.stage("the forecaster loads the champion")
                await_champion(settings, champion.digest)
                if replaying:
                    with closing(ReplayControl(settings.replay_url)) as replay:
                        replay.start()
        except BaseException:
            if not ran:
                stop_detached(settings)
            raise
    return urls(settings, status)


def urls(settings: Settings, status: StackStatus) -> dict[str, str]:
    """What a person opens; servers that are not part of this stack are named as they are set."""
    mlflow, prefect = settings.resolved_mlflow_uri, settings.resolved_prefect_api_url.removesuffix("/api")
    table = {
        "board": settings.board_url,
        "reports": f"{settings.board_url}/reports",
        "forecaster docs": f"{settings.forecaster_url}/docs",
        "Prefect UI": prefect,
        "MLflow UI": mlflow,
        "metrics": f"http://{settings.host}:{settings.exporter_port}/metrics",
    }
    if status.service("evidently") is not None:
        table["Evidently UI"] = settings.resolved_evidently_url
    if status.service("prometheus") is not None:
        table["Prometheus"] = f"http://{prometheus.prometheus_address(settings)}"
        table["Alertmanager"] = f"http://{prometheus.alertmanager_address(settings)}"
        table["alerts"] = prometheus.alerts_url(settings)
    if status.service("replay") is not None:
        table["replay feed"] = f"{settings.replay_url}/replay/state"
    return table


@dataclass(frozen=True)
class StackReport:
    """What runs and what is wrong."""

    stack: StackStatus | None
    checks: list[Check]

    @property
    def ok(self) -> bool:
        """Whether a stack runs and every check passed."""
        return self.stack is not None and self.stack.running and all(check.ok or check.warning for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "ok": self.ok,
            "stack": self.stack.to_dict() if self.stack else None,
            "checks": [check.to_dict() for check in self.checks],
        }

    def table(self) -> Table:
        """For a terminal: services, then what is wrong."""
        if self.stack is None or not self.stack.running:
            title = "no stack runs over this data folder: make up"
            table = Table("check", "what is wrong", "what to do", title=title, title_justify="left")
        else:
            title = f"stack since {self.stack.started_at[:19]}Z"
            table = Table("service", "state", "restarts", "port", "MB", "detail", title=title, title_justify="left")
            for each in self.stack.services:
                memory = "" if each.resident_mb is None else f"{each.resident_mb:.0f}"
                port = "" if each.port is None else str(each.port)
                table.add_row(each.name, each.state, str(each.restarts), port, memory, escape(each.detail))
        for check in self.checks:
            if not check.ok:
                gap = [""] * (len(table.columns) - 3)
                table.add_row(check.name, escape(check.detail), *gap, escape(check.remedy))
        return table


def stack_report(settings: Settings) -> StackReport:
    """The stack's run file as of now, and the checks that can fail while it runs."""
    return StackReport(read_status(settings), check_all(settings))
