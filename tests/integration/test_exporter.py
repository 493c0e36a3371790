"""The exporter against a real database and a real Redis."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from models.alarm_streams import CALIBRATION_GAMES
from models.alarms import coverage_detector, tolerated_rate
from models.game import Status
from monitoring.exporter import make_registry, serve
from monitoring.streams import open_redis
from services.database import make_engine
from services.settings import Settings
from services.store import NewPromotion, Store
from tests.support.settled_night import (
    NIGHT,
    add_forecast,
    add_game,
    add_outcome,
    add_shadow,
    add_tick,
    add_version,
    game_id,
)

WINDOW, WINDOWS = "halftime_window_", ("7d", "30d", "season")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(registry: CollectorRegistry) -> Samples:
    """(name, sorted labels) -> value of one scrape."""
    page = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


def in_window(
    found: Samples, window: str, minute: int, *, source: str = "recorded", by: str = "lineage", model: str = "3",
    level: str = "0.95",
) -> dict[str, float]:  # fmt: skip
    """The figures of halftime_window_* with these labels, by the rest of their names."""
    labels = {"source": source, "by": by, "model": model, "level": level, "minute": str(minute), "window": window}
    wanted = tuple(sorted(labels.items()))
    return {
        name.removeprefix(WINDOW): figure
        for (name, known), figure in found.items()
        if known == wanted and name.startswith(WINDOW)
    }


def versions(found: Samples) -> set[tuple[str, str]]:
    """(version, window) of the versions that have figures."""
    known = [dict(labels) for name, labels in found if name.startswith(WINDOW)]
    return {(labels["model"], labels["window"]) for labels in known if labels["by"] == "version"}


def timeless(found: Samples) -> Samples:
    """What does not change with the clock alone."""
    return {key: figure for key, figure in found.items() if not key[0].endswith("_seconds")}


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


@pytest.fixture
def registry(store: Store) -> CollectorRegistry:
    return make_registry(store.engine)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_an_empty_database_is_up_and_claims_nothing(registry: CollectorRegistry) -> None:
    found = samples(registry)
    assert value(found, "halftime_database_up") == 1
    assert value(found, "nba_active_games") == 0
    assert value(found, "halftime_overdue_forecasts") == 0
    assert not names(found) & {"nba_conformal_coverage", "halftime_last_tick_age_seconds", "nba_predictions_total"}


def test_counts_are_those_of_the_tables(store: Store, registry: CollectorRegistry) -> None:
    for number in range(3):
        add_game(store, number)
    add_forecast(store, 0)
    add_forecast(store, 1)
    add_forecast(store, 1, revision=1, pattern=(1,) * 17 + (2,))
    store.record_missed(game_id(2), "the predictor was down")
    add_outcome(store, 0, 6)
    found = samples(registry)
    model = {"source": "recorded", "model_version": "3"}
    assert value(found, "nba_predictions_total", **model) == 3
    assert value(found, "halftime_official_forecasts_total", **model) == 3
    assert value(found, "halftime_settlements_total", source="recorded") == 1
    assert value(found, "halftime_dispositions_total", source="recorded", disposition="forecast") == 2
    assert value(found, "halftime_dispositions_total", source="recorded", disposition="missed") == 1
    line = {"source": "recorded", "lineage": "3"}
    assert value(found, "halftime_settled_games", **line, level="0.95") == 1
    assert value(found, "halftime_model_lineage_info", **line, model_version="3") == 1


def test_forecasts_of_other_minutes_leave_the_official_figures_as_they_are(
    store: Store, registry: CollectorRegistry
) -> None:
    for number in range(20):
        add_game(store, number)
        for minute in (0, 7, 18):
            add_forecast(store, number, pattern=(4,) * minute, half_width=1.0 if minute == 7 else 11.5)
        add_outcome(store, number, 6)
    add_game(store, 20)
    add_forecast(store, 20, pattern=(1,) * 7)
    add_tick(store, 20, period=2, t=1440.0, ended=True, seen_at=datetime.now(UTC) - timedelta(minutes=5))
    found = samples(registry)
    model = {"source": "recorded", "model_version": "3"}
    assert value(found, "halftime_forecasts_total", **model) == 61
    assert value(found, "halftime_official_forecasts_total", **model) == 20
    assert value(found, "halftime_settlements_total", source="recorded") == 20
    line = {"source": "recorded", "lineage": "3"}
    assert value(found, "halftime_settled_games", **line, level="0.95") == 20
    assert value(found, "nba_conformal_coverage", **line, level="0.95") == 1.0
    assert value(found, "halftime_settlement_backlog") == 0
    by_minute = {minute: in_window(found, "30d", minute) for minute in (0, 7, 18)}
    assert [figures["settled_games"] for figures in by_minute.values()] == [20, 20, 20]
    assert [figures["coverage"] for figures in by_minute.values()] == [1.0, 0.0, 1.0]
    assert by_minute[7]["interval_mean_width_points"] == 2.0
    assert by_minute[0]["mae_points"] == by_minute[0]["rmse_points"] == 1.5
    assert by_minute[0]["mae_persistence_points"] == by_minute[0]["rmse_persistence_points"] == 6.0
    assert by_minute[0]["skill"] == 1 - 1.5**2 / 6**2
    assert by_minute[0]["coverage_lower"] < by_minute[0]["coverage_upper"] == 1.0


def test_a_window_goes_back_from_the_newest_date_on_which_games_of_its_source_were_decided(
    store: Store, registry: CollectorRegistry
) -> None:
    ages = (0, 6, 7, 29, 30, 400)
    for number, age in enumerate(ages):
        add_game(store, number, league_date=NIGHT - timedelta(days=age), season=2021 if age > 300 else 2022)
        add_forecast(store, number, pattern=(4,) * 7)
        add_forecast(store, number)
        add_outcome(store, number, 6)
    add_game(store, 10, league_date=NIGHT + timedelta(days=20))
    add_game(store, 11, league_date=NIGHT + timedelta(days=90), source="simulated", season=2023)
    add_forecast(store, 11)
    add_outcome(store, 11, 6)
    found = samples(registry)
    assert [in_window(found, window, 7)["settled_games"] for window in WINDOWS] == [2, 4, 5]
    assert [in_window(found, window, 18, source="simulated")["settled_games"] for window in WINDOWS] == [1, 1, 1]
    assert value(found, "halftime_settled_games", source="recorded", lineage="3", level="0.95") == 6


def test_a_window_over_the_turn_of_a_season_holds_games_of_both(store: Store, registry: CollectorRegistry) -> None:
    for number, (age, season) in enumerate(((0, 2022), (3, 2022), (5, 2021), (20, 2021))):
        add_game(store, number, league_date=NIGHT - timedelta(days=age), season=season)
        add_forecast(store, number)
        add_outcome(store, number, 6)
    found = samples(registry)
    assert [in_window(found, window, 18)["settled_games"] for window in WINDOWS] == [3, 4, 2]


def test_a_version_has_figures_where_it_settled_twenty_games_and_forecast_lately(
    store: Store, registry: CollectorRegistry
) -> None:
    for version in ("1", "2", "3"):
        add_version(store, version, version * 64, LINE)
    played = [("1", 40)] * 20 + [("2", 10)] * 20 + [("3", 0)] * 19
    for number, (version, age) in enumerate(played):
        add_game(store, number, league_date=NIGHT - timedelta(days=age))
        add_forecast(store, number, model_version=version, model_digest=version * 64)
        add_outcome(store, number, 6)
    found = samples(registry)
    assert [in_window(found, window, 18, model=LINE)["settled_games"] for window in WINDOWS] == [19, 39, 59]
    assert versions(found) == {("2", "30d"), ("2", "season")}, "1 is long gone, 3 has 19 games"
    assert in_window(found, "30d", 18, by="version", model="2")["mae_points"] == 1.5
    assert "coverage" not in in_window(found, "7d", 18, model=LINE)


def test_figures_are_of_the_five_newest_of_such_versions(store: Store, registry: CollectorRegistry) -> None:
    made = [str(version) for version in (7, 2, 3, 4, 5, 6, 1)]
    for place, version in enumerate(made):
        for number in range(20 * place, 20 * place + 20):
            add_game(store, number)
            add_forecast(store, number, model_version=version, model_digest=version * 64)
            add_outcome(store, number, 6)
    assert {version for version, _ in versions(samples(registry))} == set(made[2:]), "newest by forecast, not by name"


def test_coverage_appears_with_the_twentieth_settled_game(store: Store, registry: CollectorRegistry) -> None:
    labels = {"source": "recorded", "lineage": "3", "level": "0.95"}
    for number in range(20):
        assert value(samples(registry), "nba_conformal_coverage", **labels) is None
        add_game(store, number)
        add_forecast(store, number)
        add_outcome(store, number, 30 if number < 2 else 5)
    found = samples(registry)
    assert value(found, "nba_conformal_coverage", **labels) == 0.9
    assert value(found, "nba_conformal_coverage_lower", **labels) == pytest.approx(0.6830, abs=1e-4)
    assert value(found, "halftime_interval_mean_width_points", **labels) == 23.0
    assert value(found, "halftime_mae_points", **labels) == pytest.approx((18 * 0.5 + 2 * 25.5) / 20)
    assert value(found, "nba_prediction_error_points_bucket", **labels, le="1.0") == 18
    assert value(found, "nba_prediction_error_points_count", **labels) == 20
    assert value(found, "halftime_coverage_log_evidence", **labels) is not None


LINE = "1234567890abcdef"


def test_versions_of_one_line_are_one_stream_of_evidence(store: Store, registry: CollectorRegistry) -> None:
    for version, digest in (("3", "ab" * 32), ("4", "cd" * 32)):
        add_version(store, version, digest, LINE)
    add_version(store, "1", "cd" * 32, LINE, name="halftime-simulated")
    for number in range(20):
        add_game(store, number)
        version, digest = ("3", "ab" * 32) if number < 12 else ("4", "cd" * 32)
        add_forecast(store, number, model_version=version, model_digest=digest)
        add_outcome(store, number, 6)
    found = samples(registry)
    line = {"source": "recorded", "lineage": LINE}
    assert value(found, "halftime_settled_games", **line, level="0.95") == 20
    assert value(found, "nba_conformal_coverage", **line, level="0.95") == 1.0
    assert value(found, "nba_prediction_error_points_count", **line, level="0.95") == 20
    assert in_window(found, "7d", 18, model=LINE)["settled_games"] == 20
    assert versions(found) == set(), "neither of the two has twenty"
    counted = {"source": "recorded", "model_version": "4"}
    assert value(found, "halftime_official_forecasts_total", **counted) == 8, "a digest under two names counts once"


def test_the_alarms_evidence_goes_on_when_a_night_recalibrates(store: Store, registry: CollectorRegistry) -> None:
    for version, digest in (("3", "ab" * 32), ("4", "cd" * 32)):
        add_version(store, version, digest, LINE)
    for number in range(12):
        add_game(store, number)
        version, digest = ("3", "ab" * 32) if number % 2 else ("4", "cd" * 32)
        add_forecast(store, number, model_version=version, model_digest=digest)
        add_outcome(store, number, 30)
    wanted = coverage_detector(0.05, tolerated_rate(0.05, CALIBRATION_GAMES)).after((True,) * 12).log_evidence
    labels = {"source": "recorded", "lineage": LINE, "level": "0.95"}
    assert value(samples(registry), "halftime_coverage_log_evidence", **labels) == pytest.approx(wanted)


def test_the_newest_version_of_a_line_is_the_one_that_forecast_last(store: Store, registry: CollectorRegistry) -> None:
    def newest() -> set[str]:
        found = samples(registry)
        return {dict(labels)["model_version"] for name, labels in found if name == "halftime_model_lineage_info"}

    for version, digest in (("10", "ab" * 32), ("9", "cd" * 32)):
        add_version(store, version, digest, LINE)
    for number in range(3):
        add_game(store, number)
    add_forecast(store, 0, model_version="9", model_digest="cd" * 32, alpha=0.2)
    add_outcome(store, 0, 6)
    add_forecast(store, 1, model_version="10", model_digest="ab" * 32)
    assert newest() == {"10"}, "settled or not, whatever its level"
    add_forecast(store, 2, model_version="9", model_digest="cd" * 32, pattern=(1,) * 7)
    assert newest() == {"9"}, "whatever its minute; after a roll-back the older one"


def test_shadows_change_no_figure(store: Store, registry: CollectorRegistry) -> None:
    for number in range(20):
        add_game(store, number)
        add_forecast(store, number)
        add_outcome(store, number, 6)
    before = timeless(samples(registry))
    for number in range(20):
        add_shadow(store, number)
        add_shadow(store, number, pattern=(1,) * 23)
        store.settle(game_id(number))
    assert store.unsettled_shadows() == [], "they are settled like the platform's own"
    assert timeless(samples(registry)) == before
    assert store.night(NIGHT).duplicates == 0


def test_a_corrected_outcome_is_scored_once(store: Store, registry: CollectorRegistry) -> None:
    add_game(store, 0)
    add_forecast(store, 0)
    add_outcome(store, 0, 6, state="provisional")
    add_outcome(store, 0, 8)
    found = samples(registry)
    labels = {"source": "recorded", "lineage": "3", "level": "0.95"}
    assert value(found, "halftime_settlements_total", source="recorded") == 2
    assert value(found, "halftime_settled_games", **labels) == 1
    assert value(found, "nba_prediction_error_points_sum", **labels) == 3.5


def test_a_game_past_the_official_minute_is_overdue_until_decided(store: Store, registry: CollectorRegistry) -> None:
    add_game(store, 0)
    add_tick(store, 0, period=2, t=1000.0, seen_at=datetime.now(UTC) - timedelta(seconds=100))
    assert value(samples(registry), "halftime_overdue_forecasts") == 0
    add_tick(store, 0, period=2, t=1085.0, seen_at=datetime.now(UTC) - timedelta(seconds=45))
    found = samples(registry)
    assert value(found, "halftime_overdue_forecasts") == 1
    waited = value(found, "halftime_oldest_overdue_forecast_seconds")
    assert waited is not None
    assert 44 < waited < 600
    add_forecast(store, 0)
    found = samples(registry)
    assert value(found, "halftime_overdue_forecasts") == 0
    assert "halftime_oldest_overdue_forecast_seconds" not in names(found)


def test_a_forecast_past_the_half_is_backlog_until_settled(store: Store, registry: CollectorRegistry) -> None:
    add_game(store, 0)
    add_forecast(store, 0)
    add_tick(store, 0, period=2, t=1200.0)
    assert value(samples(registry), "halftime_settlement_backlog") == 0
    add_tick(store, 0, period=2, t=1440.0, ended=True, seen_at=datetime.now(UTC) - timedelta(minutes=31))
    found = samples(registry)
    assert value(found, "halftime_settlement_backlog") == 1
    assert (value(found, "halftime_oldest_unsettled_seconds") or 0) > 1800
    add_outcome(store, 0, 6)
    assert value(samples(registry), "halftime_settlement_backlog") == 0


def test_active_games_follow_the_newest_snapshot(store: Store, registry: CollectorRegistry) -> None:
    now = datetime.now(UTC)
    for number in range(4):
        add_game(store, number)
    add_tick(store, 0, period=1, t=300.0)
    add_tick(store, 1, period=1, t=720.0, ended=True)
    add_tick(store, 2, period=4, t=2800.0)
    add_tick(store, 2, period=4, t=2880.0, ended=True, status=Status.FINAL)
    add_tick(store, 3, period=3, t=1800.0, seen_at=now - timedelta(hours=5))
    found = samples(registry)
    assert value(found, "nba_active_games") == 2
    assert value(found, "halftime_games_on_clock") == 1
    age = value(found, "halftime_last_tick_age_seconds")
    assert age is not None
    assert -5 < age < 600


def test_leases_and_reports_are_shown_with_their_ages(store: Store, registry: CollectorRegistry) -> None:
    store.acquire_lease("poller", "one:1", 0.0)
    store.acquire_lease("poller", "two:2", 60.0)
    store.record_report("night", datetime.now(UTC).date(), {"n": 1})
    found = samples(registry)
    assert value(found, "halftime_lease_epoch", lease="poller") == 2
    left = value(found, "halftime_lease_left_seconds", lease="poller")
    assert left is not None
    assert 0 < left <= 60
    assert value(found, "halftime_report_age_seconds", kind="night") is not None


def test_two_exporters_agree(store: Store) -> None:
    add_game(store, 0)
    add_forecast(store, 0)
    one, other = (samples(make_registry(store.engine)) for _ in range(2))
    assert timeless(one) == timeless(other)


def test_a_scrape_without_the_database_says_so_and_does_not_fail(free_port: int) -> None:
    engine = make_engine(f"postgresql+psycopg2://nobody:x@127.0.0.1:{free_port}/none", pool_size=1)
    found = samples(make_registry(engine))
    assert value(found, "halftime_database_up") == 0
    assert names(found) == {"halftime_database_up", "halftime_scrape_seconds"}


def test_a_scrape_without_redis_says_so_and_does_not_fail(store: Store, free_port: int) -> None:
    found = samples(make_registry(store.engine, open_redis(f"redis://127.0.0.1:{free_port}/0")))
    assert value(found, "halftime_redis_up") == 0
    assert value(found, "halftime_database_up") == 1


def test_what_waits_in_the_streams_is_shown(store: Store, redis_url: str, redis_prefix: str) -> None:
    ticks, client = f"{redis_prefix}:ticks", Redis.from_url(redis_url)
    registry = make_registry(store.engine, open_redis(redis_url), redis_prefix)
    for number in range(3):
        client.xadd(ticks, {"n": number})
    client.xadd(f"other:{redis_prefix}", {"n": 1})
    client.xgroup_create(ticks, "predictors", id="0")
    client.xreadgroup("predictors", "one", {ticks: ">"}, count=2)
    found = samples(registry)
    group = {"stream": ticks, "group": "predictors"}
    assert value(found, "halftime_redis_up") == 1
    assert value(found, "halftime_stream_entries", stream=ticks) == 3
    assert value(found, "halftime_stream_entries", stream=f"other:{redis_prefix}") is None
    assert value(found, "halftime_stream_pending", **group) == 2
    assert value(found, "halftime_stream_lag_seconds", **group) is not None
    client.xreadgroup("predictors", "one", {ticks: ">"}, count=2)
    ids = [entry["message_id"] for entry in client.xpending_range(ticks, "predictors", "-", "+", 10)]
    client.xack(ticks, "predictors", *ids)
    found = samples(registry)
    assert value(found, "halftime_stream_pending", **group) == 0
    assert value(found, "halftime_stream_oldest_pending_seconds", **group) == 0
    assert value(found, "halftime_stream_lag_seconds", **group) == 0


@pytest.fixture
def served(store: Store, redis_url: str, free_port: int, tmp_path: Path) -> Iterator[str]:
    settings = Settings(
        home=tmp_path,
        database_url=store.engine.url.render_as_string(hide_password=False),
        redis_url=redis_url,
        exporter_port=free_port,
    )
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(settings, stop))
    thread.start()
    yield f"http://127.0.0.1:{free_port}/metrics"
    stop.set()
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_the_page_is_served_on_its_port(served: str) -> None:
    for attempt in range(100):
        try:
            with urllib.request.urlopen(served, timeout=10) as answer:
                page = answer.read().decode()
            break
        except OSError:
            assert attempt < 99
            threading.Event().wait(0.05)
    assert "halftime_database_up 1.0" in page
    assert "halftime_redis_up 1.0" in page
    assert "python_info" not in page


def test_the_disk_of_the_data_folder_is_told_and_a_folder_that_is_gone_costs_no_scrape(
    store: Store, tmp_path: Path
) -> None:
    found = samples(make_registry(store.engine, folder=tmp_path))
    assert 0 < value(found, "halftime_disk_free_bytes") <= value(found, "halftime_disk_size_bytes")
    gone = samples(make_registry(store.engine, folder=tmp_path / "gone"))
    assert value(gone, "halftime_disk_free_bytes") is None
    assert value(gone, "halftime_database_up") == 1


def test_the_champion_in_force_and_the_age_and_size_of_its_calibration_are_told(store: Store) -> None:
    assert value(samples(make_registry(store.engine)), "halftime_champion_info", model="m", version="1") is None
    for number in ("1", "2"):
        sizes = {"rated": 1300, "unrated": 1310} if number == "2" else None
        add_version(store, number, number * 64, "0123456789abcdef", name="m", calibration_games=sizes)
        store.record_promotion(
            NewPromotion("m", number, number * 64, None, None, "promote", "why", "rule", "rule: test", f"key {number}")
        )
    found = samples(make_registry(store.engine))
    assert value(found, "halftime_champion_info", model="m", version="2") == 1
    assert value(found, "halftime_champion_info", model="m", version="1") is None
    age = value(found, "halftime_calibration_age_seconds", model="m")
    assert age is not None
    assert 0 <= age < 600
    assert value(found, "halftime_calibration_games", model="m") == 1310
