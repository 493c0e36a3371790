"""Every flow that Prefect knows, thin: the steps are plain functions in the modules beside this one.

The two live loops normally run in processes of their own, which show themselves here as runs too. Their scheduled runs
are stand-bys: each ends at once while another process is at work, and takes the loop over when nobody is.

A run is a process of its own that begins with this file: each flow imports what it needs when it runs.
"""

from __future__ import annotations

import asyncio
import threading
from datetime import date

from prefect import flow, get_run_logger

from flows import wiring
from services.settings import get_settings


@flow(name="poll-live-games")
async def poll_live_games(minutes: float = 10.0) -> str:
    """Polls the feed for ``minutes`` unless there is none or another poller holds the lease."""
    if get_settings().feed == "none":
        return "no feed is followed: nothing to do"
    async with wiring.poller(get_settings()) as poller:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(minutes * 60, stop.set)
        ran = await poller.run(stop, stand_by=False)
        line = poller.counts.line() if ran else "another poller holds the lease: nothing to do"
    get_run_logger().info(line)
    return line


@flow(name="run-predictions")
def run_predictions(minutes: float = 10.0) -> str:
    """Forecasts from the tick stream for ``minutes`` unless there is no feed or another predictor is at work."""
    if get_settings().feed == "none":
        return "no feed is followed: nothing to do"
    stop = threading.Event()
    timer = threading.Timer(minutes * 60, stop.set)
    timer.daemon = True
    timer.start()
    with wiring.predictor(get_settings()) as predictor:
        if others := predictor.others():
            line = f"at work: {', '.join(others)}; nothing to do"
        else:
            predictor.run(stop)
            line = predictor.counts.line()
    timer.cancel()
    get_run_logger().info(line)
    return line


@flow(name="settle-games")
def settle_games() -> dict[str, int]:
    """Settles every game that is past its half and not settled yet."""
    from flows.settling import settle_all

    with wiring.store(get_settings()) as store:
        figures = settle_all(store)
    get_run_logger().info("settled: %s", figures)
    return figures


@flow(name="backfill-history")
def backfill_history(source: str | None = None, seasons: str | None = None) -> dict[str, int]:
    """Loads the games of ``source`` (unset: the setting's) into the table games; of archives the ``seasons`` named, by
    start year, as 2018-2024."""
    from flows.backfill import load_source

    figures = load_source(get_settings(), source=source, seasons=seasons)
    get_run_logger().info("history: %s", figures)
    return figures


@flow(name="train-models")
def train_models(as_of: date | None = None, promote: bool = False) -> dict[str, object]:
    """Trains on the games before ``as_of`` (unset: today) and registers the version."""
    from flows.slate import league_today
    from flows.train import train

    summary = train(get_settings(), as_of=as_of or league_today(), promote=promote)
    get_run_logger().info("trained: %s", summary.line())
    return summary.to_json()


@flow(name="backtest")
def backtest(test: list[int], minutes: list[int] | None = None) -> dict[str, object]:
    """Forecasts past seasons with nothing later than each game's date; the result goes to MLflow."""
    from flows.backtest_flow import backtest as run
    from monitoring.backtest_text import summary

    result, logged = run(get_settings(), test, minutes)
    for sentence in (*summary(result), *result.notes):
        get_run_logger().info(sentence)
    return {"source": result.source, "seasons": list(result.seasons), "games": result.games, "mlflow_run": logged}


@flow(name="recalibrate", retries=3, retry_delay_seconds=60)
def recalibrate(league_date: date | None = None, patient: bool = True) -> dict[str, object]:
    """A new calibration from the games settled since the champion's, once the last game of the night is final.

    Not ``patient``: without the games that are not.
    """
    from flows import recalibrate as recalibrating

    result = recalibrating.recalibrate(get_settings(), league_date=league_date, patient=patient)
    get_run_logger().info(result.line())
    return result.to_json()


@flow(name="evaluate-challenger", retries=3, retry_delay_seconds=60)
def evaluate_challenger(league_date: date | None = None) -> dict[str, object]:
    """Judges a challenger in its shadow and a champion on probation, and carries the verdict out."""
    from flows.evaluate import evaluate

    result = evaluate(get_settings(), league_date=league_date)
    get_run_logger().info(result.line())
    return result.to_json()


@flow(name="promote")
def promote(version: str, reason: str, force: bool = False) -> dict[str, object]:
    """Makes a registered version champion, by a person's decision."""
    from flows.promote import promote as run

    decided = run(get_settings(), version, reason=reason, force=force)
    get_run_logger().info(decided.line())
    return decided.to_json()


@flow(name="roll-back")
def roll_back(reason: str) -> dict[str, object]:
    """Makes the champion before the present line of models champion again, by a person's decision."""
    from flows.promote import roll_back as run

    decided = run(get_settings(), reason=reason)
    get_run_logger().info(decided.line())
    return decided.to_json()


@flow(name="refresh-dejavu", retries=2, retry_delay_seconds=300)
def refresh_dejavu(as_of: date | None = None) -> dict[str, object]:
    """The champion with the newest games in its memory, as challenger."""
    from flows.renew import refresh_dejavu as run
    from flows.slate import league_today

    made = run(get_settings(), as_of=as_of or league_today())
    get_run_logger().info(made.line())
    return made.to_json()


@flow(name="retrain", retries=1, retry_delay_seconds=600)
def retrain(as_of: date | None = None, on_drift: bool = False) -> dict[str, object]:
    """Everything fitted anew, as challenger, when enough games are new; ``on_drift``: only when errors have drifted."""
    from flows.renew import retrain as run
    from flows.slate import league_today

    made = run(get_settings(), as_of=as_of or league_today(), on_drift=on_drift)
    get_run_logger().info(made.line())
    return made.to_json()


@flow(name="close-zombies")
def close_zombies() -> dict[str, int]:
    """Closes runs that a dead worker or loop left running."""
    from flows.zombies import close_zombies as run

    figures = run()
    get_run_logger().info("runs: %s", figures)
    return figures


@flow(name="nightly-report", retries=2, retry_delay_seconds=60)
def nightly_report(
    league_date: date | None = None, since: date | None = None, until: date | None = None
) -> dict[str, object]:
    """The night's figures and Evidently reports of its week and season, stored in PostgreSQL; with ``since`` only one
    of the span from there ``until`` (unset: today)."""
    from flows import report as reporting
    from flows.slate import league_today

    if since is None and until is not None:
        raise ValueError("until needs since: name the first league date of the span, or use league_date for a night")
    if since is not None:
        made = reporting.span_report(get_settings(), since, until or league_today())
        reporting.tell_prefect(made)
        get_run_logger().info(made.line())
        return made.to_json()
    result = reporting.nightly_report(get_settings(), league_date=league_date)
    reporting.tell_prefect(*result.windows)
    get_run_logger().info(result.line())
    return result.to_json()


@flow(name="backup", retries=2, retry_delay_seconds=300)
def backup() -> list[dict[str, object]]:
    """A backup, and once a week the test that the newest can be restored."""
    from flows.backup import nightly

    done = nightly(get_settings())
    for one in done:
        get_run_logger().info(one.line())
        for sentence in (*one.forgotten.damaged, *(f"not in it: {left}" for left in one.manifest.left_out)):
            get_run_logger().warning(sentence)
    return [one.to_json() for one in done]
