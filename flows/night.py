"""One night, from an empty folder to the report: the stack, history, a champion, the replay, the nightly flows.

The night is over when every game of the slate is decided (forecast, missed or void) and every half that was played is
settled for good; there is no need to play the second halves out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import date

import structlog

from flows import wiring
from flows.backfill import ensure_history
from flows.clientprobe import ClientProbe
from flows.deployments import run_deployed
from flows.outside import require_outside
from flows.report import build_report, store_client_times, write_page
from flows.settling import settle_all
from flows.slate import pick_night
from flows.train import ensure_champion
from flows.watching import NightProgress, Watcher
from infra import services_table
from infra.local import LocalStack
from models.settlement import OutcomeState
from monitoring.night import NightReport
from services.registry import Version
from services.replay_control import ReplayControl, ReplayState
from services.settings import Settings
from services.store import Night

log = structlog.get_logger("night")

GRACE_S = 20.0
LIVE = (*services_table.SERVING, *services_table.REPLAY, *services_table.LIVE)


class NightError(RuntimeError):
    """The night could not be finished; the message says what to do."""


def run_night(
    settings: Settings,
    *,
    league_date: date | None = None,
    nightly: bool = True,
    watcher: Watcher | None = None,
    hold: Callable[[], None] | None = None,
) -> NightReport:
    """Replays one night through the live path and reports on it; everything is stopped again at the end.

    ``hold`` is called before the stack is stopped (a test looks at the running stack there). Raises NightError and what
    the steps raise.
    """
    watch = watcher or Watcher()
    night = league_date or settings.replay_date or pick_night(settings)
    own = {"replay_date": night, "feed": "replay", "feed_base_url": None, "replay_hold": True}
    settings = settings.model_copy(update=own)
    require_outside(settings)
    with ExitStack() as exits:
        watch.stage("starting PostgreSQL, Redis, Prefect, MLflow")
        stack = exits.enter_context(LocalStack(settings, services_table.BASE, later=LIVE, on_event=watch.service))
        prepare(settings, night, watch)
        watch.stage("starting forecaster, board, exporter, replay feed, poller, predictor")
        stack.add(LIVE)
        probe = exits.enter_context(ClientProbe(f"ws://{settings.host}:{settings.board_port}/ws"))
        watch.stage(f"replaying {night} at {settings.replay_speed:g}x")
        play(settings, night, watch)
        with wiring.store(settings) as store:
            settle_all(store)
            store_client_times(store, night, probe.received())
        if nightly:
            watch.stage("nightly flows: recalibrate, evaluate, report")
            run_nightly(settings, night)
        with wiring.store(settings) as store:
            report = build_report(store, night, settings.league_source)
        write_page(settings, report)
        if hold is not None:
            hold()
        watch.stage("stopping")
    return report


def prepare(settings: Settings, night: date, watch: Watcher) -> Version:
    """History and a champion that has not seen ``night``; its version."""
    watch.stage(f"history: {settings.league_source} games")
    count = ensure_history(settings, lambda done, total: watch.share("loading games", done / total))
    watch.stage(f"champion for {night} ({count} games of history)")
    version, summary = ensure_champion(settings, as_of=night, progress=watch.share)
    if summary is not None:
        log.info("trained", summary=summary.line())
    return version


def play(settings: Settings, night: date, watch: Watcher) -> None:
    """Starts the replay's clock and returns when the night is over."""
    ended_at: float | None = None
    with closing(ReplayControl(settings.replay_url)) as replay, wiring.store(settings) as store:
        replay.start()
        while True:
            state = replay.state()
            progress = _progress(state, store.night(night, settings.league_source))
            watch.night(progress)
            # A night that was decided before is still shown to its last half.
            halves_over = all(game.postponed or state.feed_now >= game.half_at for game in state.games)
            if halves_over and progress.decided >= progress.games and progress.final >= progress.games - progress.void:
                return
            if state.finished:
                ended_at = ended_at or time.monotonic()
                if time.monotonic() - ended_at > GRACE_S:
                    raise NightError(
                        f"the replay of {night} ended with {progress.decided} of {progress.games} games decided and"
                        f" {progress.final} settled: see the logs of poller and predictor in {settings.home / 'logs'}"
                    )
            time.sleep(0.5)


def _progress(state: ReplayState, night: Night) -> NightProgress:
    kinds = [game.disposition for game in night.games]
    return NightProgress(
        feed_now=state.feed_now,
        games=len(state.games),
        forecast=kinds.count("forecast"),
        missed=kinds.count("missed"),
        void=kinds.count("void"),
        settled=sum(game.settlement is not None for game in night.games),
        final=sum(game.actual is not None and game.actual.state == OutcomeState.FINAL for game in night.games),
    )


def run_nightly(settings: Settings, night: date) -> None:
    """The nightly deployments, run by Prefect's worker as on any other night; the report comes after the others."""
    of_night = {"league_date": night.isoformat()}
    with ThreadPoolExecutor(2) as pool:
        settling = pool.submit(run_deployed, settings, "settle-games/live", {})
        recalibrating = pool.submit(run_deployed, settings, "recalibrate/nightly", of_night)
        settling.result()
        recalibrating.result()
    run_deployed(settings, "evaluate-challenger/nightly", of_night)
    run_deployed(settings, "nightly-report/nightly", of_night)
