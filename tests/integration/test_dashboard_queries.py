"""Every query of the dashboard, answered by a real Prometheus that scrapes an exporter, a forecaster, a board, and the
pages of a poller and a predictor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import start_http_server
from redis import Redis

from infra.redis import RedisServer
from monitoring.dashboards import ROWS
from monitoring.exporter import make_registry
from monitoring.streams import open_redis
from services.loop_metrics import PollerMetrics, PollFigures, PredictorMetrics, serve
from services.store import NewPromotion, Store
from tests.support.board_night import score
from tests.support.board_running import RunningBoard, running_board
from tests.support.running_forecaster import RunningForecaster, running_forecaster, small_bundle
from tests.support.running_prometheus import Prometheus, Series, prometheus_program, running_prometheus
from tests.support.servers import PostgresServer, temporary_folder
from tests.support.settled_night import DIGEST, add_forecast, add_game, add_outcome, add_tick, add_version, game_id
from tests.support.waiting import until

PREFIX = "dashboard"
LINE = "1234567890abcdef"
JOBS = ("halftime-exporter", "halftime-forecaster", "halftime-board", "halftime-poller", "halftime-predictor")
# As Grafana puts them in: all sources, the level of the live forecasts, a range longer than the test.
CHOSEN = {"$source": ".*", "$level": "0.95", "$window": "30d", "$__rate_interval": "1m", "$__range": "1h"}
Key = tuple[str, str]

FOUND = [(panel, query) for row in ROWS for panel in row.panels for query in panel.queries]


def play_a_night(store: Store) -> None:
    """Twenty settled games, one of them far off, and a game in each kind of waiting; a champion."""
    add_version(store, "3", DIGEST * 2, LINE, calibration_games={"rated": 1300, "unrated": 1310})
    store.record_promotion(
        NewPromotion("halftime", "3", DIGEST * 2, None, None, "promote", "why", "rule", "rule: test", "key")
    )
    for number in range(20):
        add_game(store, number)
        add_forecast(store, number, pattern=(2,) * 6, point=3.0)
        add_forecast(store, number)
        add_outcome(store, number, 30 if number == 0 else 6)
    now = datetime.now(UTC)
    for number in (20, 21, 22):
        add_game(store, number)
    add_tick(store, 20, period=2, t=1085.0, seen_at=now - timedelta(seconds=45))
    add_forecast(store, 21)
    add_tick(store, 21, period=2, t=1440.0, ended=True, seen_at=now - timedelta(minutes=5))
    add_tick(store, 22, period=1, t=300.0)
    store.acquire_lease("poller", "one:1", 600.0)
    store.record_report("night", now.date(), {"n": 1})


def fill_a_stream(client: Redis) -> None:
    """Three ticks, of which a group has taken two and acknowledged none."""
    for number in range(3):
        client.xadd(f"{PREFIX}:ticks", {"n": number})
    client.xgroup_create(f"{PREFIX}:ticks", "predictors", id="0")
    client.xreadgroup("predictors", "one", {f"{PREFIX}:ticks": ">"}, count=2)


def ask_once_each(forecaster: RunningForecaster) -> None:
    """A good request and a bad one: what Prometheus first sees of a series is no rise of it."""
    assert forecaster.predict().status_code == 200
    assert 400 <= forecaster.predict(pattern=[1]).status_code < 500


def live_through(poller: PollerMetrics, predictor: PredictorMetrics, board: RunningBoard) -> None:
    """A poll, a forecast on its whole way, a score that the board tells."""
    now = datetime.now(UTC)
    poller.polled("ok", 0.2)
    predictor.issued(official=True, polled_at=now, queued_at=now, forecast_at=now, committed_at=now)
    predictor.told(now, now)
    board.add("score", game_id(0), score())


def use(forecaster: RunningForecaster, prometheus: Prometheus, live: Callable[[], None]) -> None:
    """Use everything until Prometheus has seen the counts rise, and long enough for every window to hold several
    scrapes."""
    until(lambda: all(prometheus.ask(f'up{{job="{job}"}} == 1') for job in JOBS))
    live()
    for _ in range(30):
        assert forecaster.predict().status_code == 200
    ask_once_each(forecaster)
    for code in ("200", "4.."):
        risen = f'sum(increase(halftime_http_requests_total{{route="/predict",code=~"{code}"}}[1m])) > 0'
        until(lambda risen=risen: prometheus.ask(risen))  # type: ignore[misc]
    for name in ("halftime_polls_total", "halftime_hop_seconds_count", "halftime_broadcast_lag_seconds_count"):
        until(lambda name=name: prometheus.ask(f"sum(rate({name}[1m])) > 0"))  # type: ignore[misc]
    until(lambda: all(prometheus.ask(f'count_over_time(up{{job="{job}"}}[1m]) > 3') for job in JOBS))


@pytest.fixture(scope="session")
def program() -> str:
    """Asked for first, so that nothing is started for a test that is skipped."""
    return prometheus_program()


@pytest.fixture(scope="module")
def prometheus(
    program: str, postgres_server: PostgresServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Has scraped a night's exporter, a forecaster that was asked, a board, a poller and a predictor."""
    url = postgres_server.emptied()
    bundle = small_bundle(tmp_path_factory.mktemp("bundle") / "small")
    with (
        Store.open(url, application="halftime-test") as store,
        Redis.from_url(redis_server.url) as client,
        temporary_folder("prometheus") as folder,
        running_forecaster(tmp_path_factory.mktemp("forecaster"), bundle, database_url=url) as forecaster,
        running_board() as board,
        ExitStack() as loops,
    ):
        play_a_night(store)
        fill_a_stream(client)
        reading = open_redis(redis_server.url)
        server, thread = start_http_server(0, "127.0.0.1", registry=make_registry(store.engine, reading, PREFIX))
        ask_once_each(forecaster)
        polling = SimpleNamespace(play_by_plays=0, ticks=0, stale=0, late_polls=0, last_poll_at=datetime.now(UTC))
        poller, predictor = PollerMetrics(cast(PollFigures, polling)), PredictorMetrics()
        pages = [serve(one.registry, "127.0.0.1", 0) for one in (poller, predictor)]
        for page in pages:
            loops.callback(page.close)
        targets = {
            "halftime-exporter": f"127.0.0.1:{server.server_port}",
            "halftime-forecaster": forecaster.http.base_url.netloc.decode(),
            "halftime-board": board.url.removeprefix("http://"),
            "halftime-poller": pages[0].url.removeprefix("http://").removesuffix("/metrics"),
            "halftime-predictor": pages[1].url.removeprefix("http://").removesuffix("/metrics"),
        }
        try:
            with running_prometheus(program, folder, targets) as running:
                use(forecaster, running, lambda: live_through(poller, predictor, board))
                yield running
        finally:
            server.shutdown()
            server.server_close()
            thread.join(timeout=5.0)
            reading.close()
            client.delete(f"{PREFIX}:ticks")


def put_in(expr: str) -> str:
    """``expr`` with every variable replaced."""
    for variable, value in CHOSEN.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr


@pytest.fixture(scope="module")
def answers(prometheus: Prometheus) -> dict[Key, Series]:
    """(panel, series) -> what Prometheus says to it."""
    # A subquery has a point each 15 s of the clock, and the first may lie before the first scrape.
    uptime = next(query for panel, query in FOUND if panel.title == "Uptime")
    until(lambda: prometheus.ask(put_in(uptime.expr)), timeout_s=40.0)
    return {(panel.title, query.legend): prometheus.ask(put_in(query.expr)) for panel, query in FOUND}


def number(answers: dict[Key, Series], title: str, legend: str) -> float:
    """The value of a query that has one series."""
    ((_, value),) = answers[title, legend]
    return value


def test_every_query_of_every_panel_is_answered(answers: dict[Key, Series]) -> None:
    assert len(answers) == len(FOUND) > 60, "no two series of a panel have one name"
    assert [key for key, series in answers.items() if not series] == []


def test_every_answer_is_a_number(answers: dict[Key, Series]) -> None:
    assert {
        key: series for key, series in answers.items() if not all(math.isfinite(value) for _, value in series)
    } == {}


def test_every_name_of_a_series_is_filled_from_its_labels(answers: dict[Key, Series]) -> None:
    for (title, legend), series in answers.items():
        wanted = {part.split("}}")[0] for part in legend.split("{{")[1:]}
        for labels, _ in series:
            assert wanted <= set(labels), (title, legend)
        names = [tuple(sorted(labels.items())) for labels, _ in series]
        assert all({name for name, _ in labels} == wanted for labels in names), f"{title}: two series, one name"


def test_figures_are_those_of_the_night(answers: dict[Key, Series]) -> None:
    line = "{{source}} {{lineage}}"
    assert number(answers, "MAE beside persistence", f"forecast {line}") == pytest.approx((19 * 1.5 + 25.5) / 20)
    assert number(answers, "MAE beside persistence", f"persistence {line}") == pytest.approx((19 * 2 + 26) / 20)
    squared, baseline = (19 * 1.5**2 + 25.5**2) / 20, (19 * 2**2 + 26**2) / 20
    assert number(answers, "RMSE beside persistence", f"forecast {line}") == pytest.approx(math.sqrt(squared))
    assert number(answers, "RMSE beside persistence", f"persistence {line}") == pytest.approx(math.sqrt(baseline))
    assert number(answers, "Skill against persistence", f"skill {line}") == pytest.approx(1 - squared / baseline)
    assert number(answers, "Coverage", f"coverage {line}") == 0.95
    assert number(answers, "Coverage", "target") == 0.95
    assert number(answers, "Coverage", f"lower {line}") < 0.95 < number(answers, "Coverage", f"upper {line}")
    assert number(answers, "Mean width", f"width {line}") == 23.0
    buckets = {labels["le"]: value for labels, value in answers["Error distribution", "{{le}}"]}
    assert (buckets["1.0"], buckets["2.0"], buckets["+Inf"]) == (0, 19, 20)


def test_what_waits_is_shown(answers: dict[Key, Series]) -> None:
    assert number(answers, "Overdue forecasts", "overdue") == 1
    assert number(answers, "Settlement backlog", "not settled") == 1
    assert number(answers, "Active games", "active") == 3
    assert number(answers, "Stream entries", "{{stream}}") == 3
    assert number(answers, "Stream pending", "{{stream}} {{group}}") == 2
    assert 0 < number(answers, "Lease time left", "{{lease}}") <= 600


def test_requests_and_refusals_are_counted_by_what_the_forecaster_answered(answers: dict[Key, Series]) -> None:
    codes = {labels["code"]: value for labels, value in answers["Requests by code", "{{code}}"]}
    assert codes["200"] > 0
    assert number(answers, "Prediction volume", "answered") > 0
    assert number(answers, "Error rate of /predict", "failed") == 0
    assert 0 < number(answers, "Error rate of /predict", "refused") < 0.5
    p50, p95, p99 = (number(answers, "Latency of /predict", name) for name in ("p50", "p95", "p99"))
    assert 0 < p50 <= p95 <= p99
    assert number(answers, "Uptime", "forecaster") == 1


def test_windows_show_each_minute_and_the_official_one_over_each_window(answers: dict[Key, Series]) -> None:
    def by(title: str, legend: str, label: str) -> dict[str, float]:
        return {labels[label]: value for labels, value in answers[title, legend]}

    minute, window = "{{minute}} {{source}} {{model}}", "{{window}} {{source}} {{model}}"
    early, official = (19 * 3.0**2 + 27.0**2) / 20, (19 * 1.5**2 + 25.5**2) / 20
    found = by("RMSE by minute", f"minute {minute}", "minute")
    assert found == {"6": pytest.approx(math.sqrt(early)), "18": pytest.approx(math.sqrt(official))}
    skill = by("Skill by minute", f"minute {minute}", "minute")
    assert skill["6"] == pytest.approx(1 - early / ((19 * 4.0**2 + 28.0**2) / 20))
    assert by("Coverage by window", window, "window") == dict.fromkeys(("7d", "30d", "season"), 0.95)
    assert {labels["model"] for labels, _ in answers["Coverage by window", window]} == {LINE}
    assert by("RMSE by version", window, "model") == {"3": pytest.approx(math.sqrt(official))}
    assert number(answers, "Calibration set", "{{model}}") == 1310


def test_the_live_path_is_shown(answers: dict[Key, Series]) -> None:
    hops = {labels["hop"] for labels, _ in answers["Hops", "{{hop}} p95"]}
    assert hops == {"feed_to_queue", "queue_to_forecast", "forecast_to_commit", "commit_to_broadcast"}
    assert number(answers, "Hops", "broadcast p95") > 0
    polls = {labels["outcome"]: value for labels, value in answers["Polls by outcome", "{{outcome}}"]}
    assert polls["ok"] > 0 == polls["blocked"]


def test_variables_offer_what_there_is(prometheus: Prometheus) -> None:
    assert "recorded" in prometheus.values("source", "nba_predictions_total")
    assert prometheus.values("level", "halftime_settled_games") == ["0.95"]
    assert set(prometheus.values("window", "halftime_window_settled_games")) == {"7d", "30d", "season"}
