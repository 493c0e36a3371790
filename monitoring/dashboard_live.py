"""The panels of the dashboard about the live path: games, feed, streams, leases, board, reports."""

from __future__ import annotations

from monitoring.dashboard_parts import Panel, Query, Row, quantile_of

LIVE = Row(
    "Live path",
    (
        Panel(
            "Active games", "Games being played, and those of them that are not between two periods.", "short",
            (Query("max(nba_active_games)", "active"), Query("max(halftime_games_on_clock)", "on the clock")),
            least=0, steps=True,
        ),
        Panel(
            "Feed age", "Age of the newest distinct snapshot; it grows whenever nothing happens in any game.", "s",
            (Query("max(halftime_last_tick_age_seconds)", "newest snapshot"),), least=0,
        ),
        Panel(
            "Overdue forecasts",
            "Games past 6:00 of the second quarter without an official forecast: at the half they are missed.", "short",
            (Query("max(halftime_overdue_forecasts)", "overdue"),), lines=((1, "red"),), least=0, steps=True,
        ),
        Panel(
            "Stream entries", "Length of each Redis stream; a stream of dead letters should stay empty.", "short",
            (Query("max by (stream) (halftime_stream_entries)", "{{stream}}"),), least=0,
        ),
        Panel(
            "Stream pending", "Entries that were handed to a consumer group and are not acknowledged.", "short",
            (Query("max by (stream, group) (halftime_stream_pending)", "{{stream}} {{group}}"),), least=0,
        ),
        Panel(
            "Stream lag",
            "Age of the oldest entry that a group has not taken, and (dashed) that it has not acknowledged.", "s",
            (
                Query("max by (stream, group) (halftime_stream_lag_seconds)", "{{stream}} {{group}} not taken"),
                Query(
                    "max by (stream, group) (halftime_stream_oldest_pending_seconds)",
                    "{{stream}} {{group}} not acknowledged",
                    dashed=True,
                ),
            ),
            least=0,
        ),
        Panel(
            "Lease time left", "Time until the poller's lease runs out: below 0 nobody polls.", "s",
            (Query('max by (lease) (halftime_lease_left_seconds{lease="poller"})', "{{lease}}"),), lines=((0, "red"),),
        ),
        Panel(
            "Report age", "Age of the newest report of each kind; a night's is due once a day.", "s",
            (Query("max by (kind) (halftime_report_age_seconds)", "{{kind}}"),), least=0,
        ),
        Panel(
            "Board", "WebSocket clients of all boards, and clients dropped a minute for being slow.", "short",
            (
                Query("sum(halftime_board_clients)", "clients"),
                Query("sum(rate(halftime_board_clients_dropped_total[5m])) * 60", "dropped a minute"),
            ),
            least=0,
        ),
    ),
)  # fmt: skip

LOOPS = Row(
    "Poller and predictor",
    (
        Panel(
            "Polls by outcome", "Polls of the feed a minute, by what came of them.", "cpm",
            (Query("sum by (outcome) (rate(halftime_polls_total[5m])) * 60", "{{outcome}}"),), least=0,
        ),
        Panel(
            "Poll duration and feed age",
            "Time that a poll takes, and time since the last scoreboard that the poller could read.", "s",
            (
                Query(quantile_of(0.5, "halftime_poll_seconds_bucket"), "poll p50"),
                Query(quantile_of(0.95, "halftime_poll_seconds_bucket"), "poll p95"),
                Query("max(halftime_feed_age_seconds)", "feed age"),
            ),
            least=0,
        ),
        Panel(
            "Hops",
            "95th percentile of each hop of a forecast, and (dashed) from an event's time to its broadcast by a board.",
            "s",
            (
                Query(quantile_of(0.95, "halftime_hop_seconds_bucket", "hop"), "{{hop}} p95"),
                Query(quantile_of(0.95, "halftime_broadcast_lag_seconds_bucket"), "broadcast p95", dashed=True),
            ),
            least=0,
        ),
    ),
)  # fmt: skip
