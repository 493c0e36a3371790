"""Facts as metric families."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from monitoring.evidence import MIN_GAMES
from monitoring.families import ERROR_BUCKETS, champion_families, fact_families, model_families, stream_families
from monitoring.rows import Champion, Facts, ModelFigures, Waiting, WindowRow
from monitoring.streams import GroupFacts, StreamFacts
from monitoring.window_families import window_families


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


def window(games: int, minute: int, skill: float | None = 0.1) -> WindowRow:
    return WindowRow(
        "recorded", "lineage", "3", 0.05, minute, "7d", games, games - 1, 44.0, 9.1, 9.2, 11.5, 12.0, skill
    )  # fmt: skip


def test_a_minute_of_a_window_has_figures_from_the_same_number_of_games_on() -> None:
    rows = (window(MIN_GAMES - 1, 0), window(MIN_GAMES, 23))
    families = list(window_families(rows))
    found = {
        (sample.name.removeprefix("halftime_window_"), sample.labels["minute"]): sample.value
        for family in families
        for sample in family.samples
    }
    assert (found.pop(("coverage_lower", "23")), found.pop(("coverage_upper", "23"))) == (
        pytest.approx(0.7513, abs=1e-4), pytest.approx(0.9987, abs=1e-4),
    )  # fmt: skip
    assert found == {
        ("settled_games", "0"): MIN_GAMES - 1,
        ("settled_games", "23"): MIN_GAMES,
        ("coverage", "23"): 0.95,
        ("interval_mean_width_points", "23"): 44.0,
        ("mae_points", "23"): 9.1,
        ("mae_persistence_points", "23"): 9.2,
        ("rmse_points", "23"): 11.5,
        ("rmse_persistence_points", "23"): 12.0,
        ("skill", "23"): 0.1,
    }
    labels = {"source": "recorded", "by": "lineage", "model": "3", "level": "0.95", "minute": "0", "window": "7d"}
    assert families[0].samples[0].labels == labels


def test_a_window_in_which_persistence_was_never_wrong_has_no_skill() -> None:
    named = {sample.name for family in window_families((window(30, 18, None),)) for sample in family.samples}
    assert "halftime_window_rmse_points" in named
    assert "halftime_window_skill" not in named


def test_a_champion_whose_calibration_set_was_not_kept_has_an_age_and_no_size() -> None:
    champions = {"a": Champion("7", 60.0, 1300), "b": Champion("1", 90.0, None)}
    found = {
        (sample.name, sample.labels["model"]): sample.value
        for family in champion_families(champions)
        for sample in family.samples
    }
    assert found == {
        ("halftime_champion_info", "a"): 1.0,
        ("halftime_champion_info", "b"): 1.0,
        ("halftime_calibration_age_seconds", "a"): 60.0,
        ("halftime_calibration_age_seconds", "b"): 90.0,
        ("halftime_calibration_games", "a"): 1300.0,
    }


def test_every_number_on_the_page_is_finite() -> None:
    assert all(math.isfinite(value) for value in values(figures(20), figures(300, 300)).values())


def test_unknown_ages_have_no_sample() -> None:
    facts = Facts({}, {}, {}, {}, {}, 0, 0, None, Waiting(0, None), Waiting(0, None), {}, {}, {}, (), (), {})
    named = {sample.name for family in fact_families(facts) for sample in family.samples}
    assert "halftime_last_tick_age_seconds" not in named
    assert "nba_active_games" in named


def test_the_page_is_what_prometheus_reads() -> None:
    facts = Facts(
        {("recorded", '3"\n'): 5}, {}, {}, {"recorded": 2}, {("recorded", "missed"): 1}, 3, 2, 4.5, Waiting(1, 31.0),
        Waiting(0, None), {"poller": 7}, {"poller": 8.5}, {"night": 60.0}, (figures(25, 2),), (window(25, 18),),
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
    labels = 'by="lineage",level="0.95",minute="18",model="3",source="recorded",window="7d"'
    assert f"halftime_window_settled_games{{{labels}}} 25.0" in page
    assert "nan" not in page.lower().replace("nba_", "")
