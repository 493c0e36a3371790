"""Every query of the dashboard, answered by a real Prometheus that scrapes an exporter, a forecaster and a board."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import start_http_server
from redis import Redis

from infra.redis import RedisServer
from monitoring.dashboard_live import LIVE_PATH_METRICS
from monitoring.dashboard_parts import Query
from monitoring.dashboards import ROWS
from monitoring.exporter import make_registry
from monitoring.streams import open_redis
from services.store import Store
from tests.support.board_running import running_board
from tests.support.running_forecaster import RunningForecaster, running_forecaster, small_bundle
from tests.support.running_prometheus import Prometheus, Series, prometheus_program, running_prometheus
from tests.support.servers import PostgresServer, temporary_folder
from tests.support.settled_night import add_forecast, add_game, add_outcome, add_tick
from tests.support.waiting import until

PREFIX = "dashboard"
JOBS = ("halftime-exporter", "halftime-forecaster", "halftime-board")
# As Grafana puts them in: all sources, the level of the live forecasts, a window longer than the test.
CHOSEN = {"$source": ".*", "$level": "0.95", "$__rate_interval": "1m", "$__range": "1h"}
Key = tuple[str, str]

FOUND = [(panel, query) for row in ROWS for panel in row.panels for query in panel.queries]


def of_live_path(query: Query) -> bool:
    """Whether only the poller's, the predictor's or a busy board's pages answer it."""
    return any(name in query.expr for name in LIVE_PATH_METRICS)


def play_a_night(store: Store) -> None:
    """Twenty settled games, one of them far off, and a game in each kind of waiting."""
    for number in range(20):
        add_game(store, number)
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


def ask_for_predictions(forecaster: RunningForecaster, prometheus: Prometheus) -> None:
    """Ask until Prometheus has seen the counts rise, and long enough for every window to hold several scrapes."""
    until(lambda: all(prometheus.ask(f'up{{job="{job}"}} == 1') for job in JOBS))
    for _ in range(30):
        assert forecaster.predict().status_code == 200
    ask_once_each(forecaster)
    for code in ("200", "4.."):
        risen = f'sum(increase(halftime_http_requests_total{{route="/predict",code=~"{code}"}}[1m])) > 0'
        until(lambda risen=risen: prometheus.ask(risen))  # type: ignore[misc]
    until(lambda: all(prometheus.ask(f'count_over_time(up{{job="{job}"}}[1m]) > 3') for job in JOBS))


@pytest.fixture(scope="session")
def program() -> str:
    """Asked for first, so that nothing is started for a test that is skipped."""
    return prometheus_program()


@pytest.fixture(scope="module")
def prometheus(
    program: str, postgres_server: PostgresServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Has scraped a night's exporter, a forecaster that was asked, and a board."""
    url = postgres_server.emptied()
    bundle = small_bundle(tmp_path_factory.mktemp("bundle") / "small")
    with (
        Store.open(url, application="halftime-test") as store,
        Redis.from_url(redis_server.url) as client,
        temporary_folder("prometheus") as folder,
        running_forecaster(tmp_path_factory.mktemp("forecaster"), bundle, database_url=url) as forecaster,
        running_board() as board,
    ):
        play_a_night(store)
        fill_a_stream(client)
        reading = open_redis(redis_server.url)
        server, thread = start_http_server(0, "127.0.0.1", registry=make_registry(store.engine, reading, PREFIX))
        ask_once_each(forecaster)
        targets = {
            "halftime-exporter": f"127.0.0.1:{server.server_port}",
            "halftime-forecaster": forecaster.http.base_url.netloc.decode(),
            "halftime-board": board.url.removeprefix("http://"),
        }
        try:
            with running_prometheus(program, folder, targets) as running:
                ask_for_predictions(forecaster, running)
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
    return {
        (panel.title, query.legend): prometheus.ask(put_in(query.expr))
        for panel, query in FOUND
        if not of_live_path(query)
    }


def number(answers: dict[Key, Series], title: str, legend: str) -> float:
    """The value of a query that has one series."""
    ((_, value),) = answers[title, legend]
    return value


def test_every_query_of_every_panel_is_answered(answers: dict[Key, Series]) -> None:
    assert len(answers) >= 50
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


def test_queries_of_the_live_path_are_well_formed(prometheus: Prometheus) -> None:
    left_out = [put_in(query.expr) for _, query in FOUND if of_live_path(query)]
    assert len(left_out) == 6
    for expr in left_out:
        prometheus.ask(expr)


def test_variables_offer_what_there_is(prometheus: Prometheus) -> None:
    assert "recorded" in prometheus.values("source", "nba_predictions_total")
    assert prometheus.values("level", "halftime_settled_games") == ["0.95"]
