"""The panels of the dashboard about forecasts and models; those about the live path are in ``dashboard_live``.

Several exporters or forecasters may be scraped. An exporter's figure is the same whichever is asked, so ``max`` takes
one of them; what forecasters count adds up, so theirs are ``sum``. Windows are five minutes, as in the alert rules.
"""

from __future__ import annotations

import math

from models.alarms import NOTE_RUN_LENGTH, TICKET_RUN_LENGTH
from monitoring.dashboard_parts import POINTS, Panel, Query, Row, quantile_of


def _figure(name: str, text: str, *, dashed: bool = False) -> Query:
    """A figure of each line of models at the level chosen above."""
    chosen = f'{name}{{source=~"$source",level="$level"}}'
    return Query(f"max by (source, lineage) ({chosen})", f"{text} {{{{source}}}} {{{{lineage}}}}", dashed)


def _share(code: str) -> str:
    # Without requests there is no share: no point is drawn, rather than 0 or NaN.
    asked = 'sum(rate(halftime_http_requests_total{route="/predict"}[5m])) > 0'
    return f'(sum(rate(halftime_http_requests_total{{route="/predict",code=~"{code}"}}[5m])) or vector(0)) / ({asked})'


def _latency(quantile: float) -> Query:
    expr = quantile_of(quantile, 'halftime_http_request_seconds_bucket{route="/predict"}')
    return Query(expr, f"p{quantile * 100:g}")


STATE = Row(
    "Now",
    (
        Panel(
            "Services", "Whether any target of each job answers its scrapes.", "bool_yes_no",
            (Query('max by (job) (up{job=~"halftime-.+"})', "{{job}}"),), kind="stat",
            width=6, lines=((0, "red"), (1, "green")),
        ),
        Panel(
            "Stores", "Whether the exporter can read PostgreSQL and Redis, and the board its stream.", "bool_yes_no",
            (
                Query("max(halftime_database_up)", "PostgreSQL"),
                Query("max(halftime_redis_up)", "Redis"),
                Query("max(halftime_board_stream_up)", "board's stream"),
            ),
            kind="stat", width=6, lines=((0, "red"), (1, "green")),
        ),
        Panel(
            "Uptime", "Share of the time shown above in which any forecaster answered its scrapes.", "percentunit",
            (Query('avg_over_time(max(up{job="halftime-forecaster"})[$__range:15s])', "forecaster"),), kind="stat",
            width=4, lines=((0, "red"), (0.99, "orange"), (0.999, "green")),
        ),
        Panel(
            "Fallback or refused model",
            "Yes when persistence answers in place of a model, or when the registry's champion cannot be loaded.",
            "bool_yes_no",
            (
                Query("max(halftime_model_fallback)", "fallback"),
                Query("max(halftime_model_refused)", "refused"),
            ),
            kind="stat", width=4, lines=((1, "red"),),
        ),
        Panel(
            "Alarms that fire", "Alarms on coverage and drift whose evidence is enough; their names are in the metric.",
            "none",
            (
                Query(
                    "sum(max by (source, lineage, level, alarm, kind) "
                    '(halftime_alarm_firing{source=~"$source"}))',
                    "firing",
                ),
            ),
            kind="stat", width=4, lines=((1, "red"),),
        ),
    ),
)  # fmt: skip

SERVING = Row(
    "Predictions",
    (
        Panel(
            "Prediction volume", "Predictions a minute: answered by the forecasters, and stored in the database.",
            "cpm",
            (
                Query("sum(rate(halftime_predictions_total[5m])) * 60", "answered"),
                Query(
                    "sum by (source) (max by (source, model_version) "
                    '(rate(nba_predictions_total{source=~"$source"}[5m]))) * 60',
                    "stored {{source}}",
                ),
            ),
            least=0,
        ),
        Panel(
            "Requests by code", "Requests a second to the forecasters, every route, by status code.", "reqps",
            (Query("sum by (code) (rate(halftime_http_requests_total[5m]))", "{{code}}"),), least=0,
        ),
        Panel(
            "Latency of /predict", "From the first byte in to the last byte out, whatever the status.", "s",
            (_latency(0.5), _latency(0.95), _latency(0.99)), least=0,
        ),
        Panel(
            "Error rate of /predict",
            "Share of requests that failed (5xx) or were refused with a sentence (4xx); nothing while nobody asks.",
            "percentunit", (Query(_share("5.."), "failed"), Query(_share("4.."), "refused")), least=0,
        ),
        Panel(
            "Spool", "Predictions that were answered and are not yet in the database, and those it refused.", "short",
            (
                Query("sum(halftime_spool_rows)", "waiting"),
                Query("sum(halftime_spool_rejected_rows)", "refused"),
            ),
            least=0,
        ),
        Panel(
            "Age of the spool", "How long the oldest prediction has waited for the database.", "s",
            (Query("max(halftime_spool_oldest_seconds)", "oldest"),), least=0,
        ),
    ),
)  # fmt: skip

ACCURACY = Row(
    "Official forecasts, settled",
    (
        Panel(
            "MAE beside persistence",
            "Mean absolute error of each line of models, and on the same games that of the margin staying as it is.",
            POINTS,
            (
                _figure("halftime_mae_points", "forecast"),
                _figure("halftime_mae_persistence_points", "persistence", dashed=True),
            ),
        ),
        Panel(
            "RMSE beside persistence", "Root of the mean squared error, and that of persistence on the same games.",
            POINTS,
            (
                _figure("halftime_rmse_points", "forecast"),
                _figure("halftime_rmse_persistence_points", "persistence", dashed=True),
            ),
        ),
        Panel(
            "Skill against persistence", "1 - MSE / MSE of persistence: above 0 the model is the better of the two.",
            "percentunit", (_figure("halftime_skill", "skill"),), lines=((0, "yellow"),),
        ),
        Panel(
            "Coverage",
            "Share of intervals that held the outcome, its exact 95% interval, and the level that was promised.",
            "percentunit",
            (
                _figure("nba_conformal_coverage", "coverage"),
                _figure("nba_conformal_coverage_lower", "lower", dashed=True),
                _figure("nba_conformal_coverage_upper", "upper", dashed=True),
                Query("vector($level)", "target"),
            ),
            most=1,
        ),
        Panel(
            "Mean width", "Mean width of the intervals: coverage is worth as much as they are narrow.", POINTS,
            (_figure("halftime_interval_mean_width_points", "width"),),
        ),
        Panel(
            "Error distribution", "Settled games by the size of their error, as the count stood at each time.", "short",
            (
                Query(
                    "sum by (le) (max by (le, source, lineage) "
                    '(nba_prediction_error_points_bucket{source=~"$source",level="$level"}))',
                    "{{le}}",
                ),
            ),
            kind="heatmap",
        ),
        Panel(
            "Alarm evidence",
            "ln of the evidence that intervals miss more often than promised. Lines: a note, by chance once in two "
            "seasons at most; a ticket, once in ten.",
            "none",
            (
                Query(
                    'max by (source, lineage, level) (halftime_coverage_log_evidence{source=~"$source"})',
                    "{{source}} {{lineage}} {{level}}",
                ),
            ),
            lines=((math.log(NOTE_RUN_LENGTH), "orange"), (math.log(TICKET_RUN_LENGTH), "red")),
        ),
        Panel(
            "Settled games", "Games behind the figures of this row; with fewer than 20 they are absent.", "short",
            (_figure("halftime_settled_games", "settled"),), least=0, steps=True,
        ),
        Panel(
            "Settlement backlog", "Official forecasts past the half that are not settled.", "short",
            (Query("max(halftime_settlement_backlog)", "not settled"),), least=0, steps=True,
        ),
    ),
)  # fmt: skip

MODEL = Row(
    "Model",
    (
        Panel(
            "Model version", "The version, and digest, that each forecaster serves: more than one only during a swap.",
            "none", (Query("max by (version, digest) (halftime_model_info) == 1", "{{version}} ({{digest}})"),),
            kind="stat", width=6,
        ),
        Panel(
            "Model swaps", "Models that took another's place; every worker counts its own.", "short",
            (
                Query("max by (version) (halftime_model_info)", "{{version}} is served"),
                Query("sum(increase(halftime_model_swaps_total[$__rate_interval]))", "swaps"),
            ),
            width=9, least=0, steps=True,
        ),
        Panel(
            "Calibration moves",
            "Times that calibration moved over newly settled games (every worker counts its own), and the games it has "
            "moved over since the version was made.",
            "short",
            (
                Query("sum(increase(halftime_calibration_moves_total[$__rate_interval]))", "moves"),
                Query("max(halftime_calibration_games_since)", "games since"),
            ),
            width=9, least=0, steps=True,
        ),
        Panel(
            "Calibration set", "Games in the champion's calibration set when it was registered.", "short",
            (Query("max by (model) (halftime_calibration_games)", "{{model}}"),), kind="stat", width=12,
        ),
        Panel(
            "Calibration age", "Time since the champion was registered.", "s",
            (Query("max by (model) (halftime_calibration_age_seconds)", "{{model}}"),), kind="stat", width=12,
        ),
    ),
)  # fmt: skip
