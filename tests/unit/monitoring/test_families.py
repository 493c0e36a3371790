"""Facts as metric families."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from monitoring.families import (
    ERROR_BUCKETS,
    MIN_GAMES,
    fact_families,
    minute_families,
    model_families,
    stream_families,
)
from monitoring.rows import Facts, MinuteRow, ModelFigures, Waiting
from monitoring.streams import GroupFacts, StreamFacts


def figures(n: int, misses: int = 0, **changes: object) -> ModelFigures:
    fields = {
        "source": "recorded",
        "lineage": "3",
        "alpha": 0.05,
        "misses": (True,) * misses + (False,) * (n - misses),
        "errors": tuple(float(number % 7 - 3) for number in range(n)),
        "persistence_errors": tuple(float(number % 9 - 4) for number in range(n)),
        "widths": (23.0,) * n,
    }
    return ModelFigures(**(fields | changes))  # type: ignore[arg-type]


def values(*models: ModelFigures) -> dict[str, float]:
    return {sample.name: sample.value for family in model_families(models) for sample in family.samples}


def test_coverage_is_absent_below_the_minimum_and_present_from_it() -> None:
    few, enough = values(figures(MIN_GAMES - 1)), values(figures(MIN_GAMES))
    assert "nba_conformal_coverage" not in few
    assert few["halftime_settled_games"] == MIN_GAMES - 1
    assert enough["nba_conformal_coverage"] == 1.0
    assert enough["nba_conformal_coverage_lower"] < 1.0 == enough["nba_conformal_coverage_upper"]


def test_lines_levels_and_leagues_are_never_mixed() -> None:
    models = (
        figures(20),
        figures(20, lineage="4"),
        figures(20, alpha=0.2),
        figures(20, source="simulated"),
    )
    labels = {
        tuple(sample.labels.values())
        for family in model_families(models)
        for sample in family.samples
        if sample.name == "nba_conformal_coverage"
    }
    assert labels == {
        ("recorded", "3", "0.95"), ("recorded", "4", "0.95"), ("recorded", "3", "0.8"), ("simulated", "3", "0.95"),
    }  # fmt: skip


def test_error_buckets_are_cumulative_and_end_at_the_count() -> None:
    samples = [sample for family in model_families((figures(50),)) for sample in family.samples]
    buckets = [sample for sample in samples if sample.name == "nba_prediction_error_points_bucket"]
    counts = [sample.value for sample in buckets]
    assert len(buckets) == len(ERROR_BUCKETS) + 1
    assert counts == sorted(counts)
    assert buckets[-1].labels["le"] == "+Inf"
    assert counts[-1] == 50


def test_skill_is_absent_when_persistence_was_never_wrong() -> None:
    found = values(figures(20, persistence_errors=(0.0,) * 20))
    assert "halftime_skill" not in found
    assert found["halftime_mae_persistence_points"] == 0.0


def test_a_minute_has_figures_from_the_same_number_of_games_on() -> None:
    rows = (MinuteRow(0, 30, MIN_GAMES - 1, 9.1, 9.2, 0.95, 44.0), MinuteRow(23, 30, MIN_GAMES, 2.1, 2.2, 0.9, 11.0))
    found = {
        (sample.name, sample.labels["minute"]): sample.value
        for family in minute_families({("recorded", "3", 0.05): rows})
        for sample in family.samples
    }
    assert found == {
        ("halftime_minute_settled_games", "0"): MIN_GAMES - 1,
        ("halftime_minute_settled_games", "23"): MIN_GAMES,
        ("halftime_minute_coverage", "23"): 0.9,
        ("halftime_minute_interval_mean_width_points", "23"): 11.0,
        ("halftime_minute_mae_points", "23"): 2.1,
        ("halftime_minute_mae_persistence_points", "23"): 2.2,
    }


def test_every_number_on_the_page_is_finite() -> None:
    assert all(math.isfinite(value) for value in values(figures(20), figures(300, 300)).values())


def test_unknown_ages_have_no_sample() -> None:
    facts = Facts({}, {}, {}, {}, {}, 0, 0, None, Waiting(0, None), Waiting(0, None), {}, {}, {}, (), {}, {})
    named = {sample.name for family in fact_families(facts) for sample in family.samples}
    assert "halftime_last_tick_age_seconds" not in named
    assert "nba_active_games" in named


def test_the_page_is_what_prometheus_reads() -> None:
    facts = Facts(
        {("recorded", '3"\n'): 5}, {}, {}, {"recorded": 2}, {("recorded", "missed"): 1}, 3, 2, 4.5, Waiting(1, 31.0),
        Waiting(0, None), {"poller": 7}, {"poller": 8.5}, {"night": 60.0}, (figures(25, 2),), {},
        {("recorded", "1234567890abcdef"): "4"},
    )  # fmt: skip
    streams = (StreamFacts("halftime:ticks", 9, (GroupFacts("predictors", 2, 1.5, 0.0),)),)

    class Page(Collector):
        def collect(self) -> list[Metric]:
            return [*fact_families(facts), *stream_families(streams)]

    registry = CollectorRegistry()
    registry.register(Page())
    page = generate_latest(registry).decode()
    assert 'nba_predictions_total{model_version="3\\"\\n",source="recorded"} 5.0' in page
    assert "# TYPE nba_prediction_error_points histogram" in page
    named = 'lineage="1234567890abcdef",model_version="4",source="recorded"'
    assert f"halftime_model_lineage_info{{{named}}} 1.0" in page
    assert 'halftime_stream_pending{group="predictors",stream="halftime:ticks"} 2.0' in page
    assert "nan" not in page.lower().replace("nba_", "")
