"""Facts as Prometheus metric families. Pure: the same facts give the same page.

Names the original plan used begin with ``nba_``, all others with ``halftime_``. A figure that rests on fewer than
MIN_GAMES settled games is absent, not 0: an alert on it cannot fire at a cold start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from monitoring.alarm_families import alarm_families, level_of
from monitoring.backup_families import backup_families
from monitoring.evidence import MIN_GAMES, coverage_estimate
from monitoring.rows import Champion, Facts, ModelFigures
from monitoring.streams import StreamFacts
from monitoring.window_families import window_families

ERROR_BUCKETS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30)
Labels = TypeVar("Labels", bound=tuple[str, ...])
MODEL_LABELS = ("source", "lineage", "level")


def fact_families(facts: Facts) -> Iterator[Metric]:
    """Everything that is a fact in the database."""
    by_model = ("source", "model_version")
    yield counter("nba_predictions", "Predictions served, official or not", by_model, facts.predictions)
    yield counter("halftime_official_forecasts", "Official forecasts, revisions included", by_model, facts.official)
    yield counter("halftime_forecasts", "Forecasts of every minute, revisions included", by_model, facts.live)
    settled = {(source,): n for source, n in facts.settlements.items()}
    yield counter("halftime_settlements", "Settlements of official forecasts, revisions included", ("source",), settled)
    yield counter("halftime_dispositions", "Games decided, by kind", ("source", "disposition"), facts.dispositions)
    yield gauge("nba_active_games", "Games being played", facts.active_games)
    yield gauge("halftime_games_on_clock", "Games being played and not between two periods", facts.games_on_clock)
    yield gauge("halftime_last_tick_age_seconds", "Age of the newest distinct snapshot", facts.last_tick_age_s)
    yield gauge("halftime_overdue_forecasts", "Games past the official minute, not decided", facts.overdue.count)
    yield gauge("halftime_oldest_overdue_forecast_seconds", "How long the oldest of them waits", facts.overdue.oldest_s)
    yield gauge("halftime_settlement_backlog", "Official forecasts past the half, not settled", facts.backlog.count)
    yield gauge("halftime_oldest_unsettled_seconds", "How long the oldest of them waits", facts.backlog.oldest_s)
    yield labelled("halftime_lease_epoch", "Epoch of each lease", "lease", facts.lease_epochs)
    yield labelled("halftime_lease_left_seconds", "Time to expiry, negative after it", "lease", facts.lease_left_s)
    yield labelled("halftime_report_age_seconds", "Age of the newest report", "kind", facts.report_ages_s)
    yield from champion_families(facts.champions)
    yield from model_families(facts.models)
    yield lineage_family(facts.newest_versions)
    yield from window_families(facts.windows)
    yield from alarm_families(facts.alarms)
    yield from backup_families(facts.backups)


def champion_families(champions: Mapping[str, Champion]) -> Iterator[Metric]:
    """The version in force of each registered model, how old its calibration is and from how many games."""
    info = GaugeMetricFamily("halftime_champion_info", "1 for the version in force", labels=("model", "version"))
    age = GaugeMetricFamily("halftime_calibration_age_seconds", "Since the champion was registered", labels=("model",))
    text = "Games in the champion's calibration set when it was registered, at the official minute"
    games = GaugeMetricFamily("halftime_calibration_games", text, labels=("model",))
    for model, champion in sorted(champions.items()):
        info.add_metric((model, champion.version), 1.0)
        age.add_metric((model,), champion.calibration_age_s)
        if champion.calibration_games is not None:
            games.add_metric((model,), float(champion.calibration_games))
    yield from (info, age, games)


def model_families(models: Sequence[ModelFigures]) -> Iterator[Metric]:
    """Coverage, width and error of each line of models at each level."""
    texts = {
        "halftime_settled_games": "Settled official forecasts",
        "nba_conformal_coverage": "Share of intervals that held the outcome",
        "nba_conformal_coverage_lower": "Lower end of its exact 95% interval",
        "nba_conformal_coverage_upper": "Upper end of its exact 95% interval",
        "halftime_interval_mean_width_points": "Mean width of the intervals",
        "halftime_mae_points": "Mean absolute error",
        "halftime_mae_persistence_points": "Mean absolute error of persistence on the same games",
        "halftime_rmse_points": "Root of the mean squared error",
        "halftime_rmse_persistence_points": "The same of persistence on the same games",
        "halftime_skill": "1 - MSE / MSE of persistence on the same games",
    }
    families = {name: GaugeMetricFamily(name, text, labels=MODEL_LABELS) for name, text in texts.items()}
    errors = HistogramMetricFamily(
        "nba_prediction_error_points", "Absolute errors of settled official forecasts", labels=MODEL_LABELS
    )
    for model in models:
        labels = (model.source, model.lineage, level_of(model.alpha))
        for name, value in _model_values(model).items():
            families[name].add_metric(labels, value)
        sizes = [abs(error) for error in model.errors]
        buckets = [(f"{float(edge)}", float(sum(size <= edge for size in sizes))) for edge in ERROR_BUCKETS]
        errors.add_metric(labels, [*buckets, ("+Inf", float(len(sizes)))], sum(sizes))
    yield from families.values()
    yield errors


def lineage_family(newest_versions: Mapping[tuple[str, str], str]) -> Metric:
    """1 for the newest version of each line that forecast: what a lineage in another figure's labels is now."""
    labels = ("source", "lineage", "model_version")
    info = GaugeMetricFamily("halftime_model_lineage_info", "Newest version of each line that forecast", labels=labels)
    for (source, lineage), version in sorted(newest_versions.items()):
        info.add_metric((source, lineage, version), 1.0)
    return info


def _model_values(model: ModelFigures) -> dict[str, float]:
    n = len(model.misses)
    values: dict[str, float] = {"halftime_settled_games": float(n)}
    coverage = coverage_estimate(n - sum(model.misses), n)
    if n < MIN_GAMES or coverage is None:
        return values
    squared, baseline = _mean(e * e for e in model.errors), _mean(e * e for e in model.persistence_errors)
    values |= {
        "nba_conformal_coverage": coverage.value,
        "nba_conformal_coverage_lower": coverage.lower,
        "nba_conformal_coverage_upper": coverage.upper,
        "halftime_interval_mean_width_points": _mean(model.widths),
        "halftime_mae_points": _mean(map(abs, model.errors)),
        "halftime_mae_persistence_points": _mean(map(abs, model.persistence_errors)),
        "halftime_rmse_points": math.sqrt(squared),
        "halftime_rmse_persistence_points": math.sqrt(baseline),
    }
    if baseline > 0:
        values["halftime_skill"] = 1 - squared / baseline
    return values


def stream_families(streams: Iterable[StreamFacts]) -> Iterator[Metric]:
    """Length of every stream; what each of its groups has not taken or not acknowledged."""
    entries = GaugeMetricFamily("halftime_stream_entries", "Entries in the stream", labels=("stream",))
    pending = GaugeMetricFamily(
        "halftime_stream_pending", "Entries delivered, not acknowledged", labels=("stream", "group")
    )
    oldest = GaugeMetricFamily(
        "halftime_stream_oldest_pending_seconds", "Age of the oldest of them", labels=("stream", "group")
    )
    lag = GaugeMetricFamily(
        "halftime_stream_lag_seconds", "Age of the oldest entry not yet delivered", labels=("stream", "group")
    )
    for stream in streams:
        entries.add_metric((stream.name,), float(stream.entries))
        for group in stream.groups:
            names = (stream.name, group.name)
            pending.add_metric(names, float(group.pending))
            oldest.add_metric(names, group.oldest_pending_s)
            lag.add_metric(names, group.lag_s)
    yield from (entries, pending, oldest, lag)


def gauge(name: str, text: str, value: float | None) -> Metric:
    """One number; no sample at all when it is not known."""
    family = GaugeMetricFamily(name, text)
    if value is not None:
        family.add_metric((), float(value))
    return family


def labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """One number per value of one label."""
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in sorted(values.items()):
        family.add_metric((key,), float(value))
    return family


def counter(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, int]) -> Metric:
    """Counts of rows in append-only tables: they never go down."""
    family = CounterMetricFamily(name, text, labels=labels)
    for keys, value in sorted(values.items()):
        family.add_metric(keys, float(value))
    return family


def _mean(values: Iterable[float]) -> float:
    kept = list(values)
    return sum(kept) / len(kept)
