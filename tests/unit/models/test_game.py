from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.game import (
    Play,
    Snapshot,
    SnapshotError,
    Status,
    completed_minutes,
    essential_plays,
    forecast_minute,
    half_over,
    halftime_score,
    margins,
    minutes_reached,
    official_due,
    pattern,
    possession,
)

AT = datetime(2023, 2, 4, 1, 0, tzinfo=UTC)


def snapshot(*plays: Play, t: float | None = None, period: int | None = None, ended: bool = False) -> Snapshot:
    last = plays[-1] if plays else None
    return Snapshot(
        game_id="0022200001",
        home="BOS",
        away="PHI",
        status=Status.LIVE,
        period=period if period is not None else (last.period if last else 1),
        t=t if t is not None else (last.t if last else 0.0),
        period_ended=ended,
        plays=plays,
        event_at=AT,
        edited_at=AT,
    )


def brute_force_margin(plays: tuple[Play, ...], minute: int) -> int:
    margin = 0
    for play in plays:
        if play.t <= 60 * minute and play.period <= -(-minute // 12):
            margin = play.home - play.away
    return margin


plays_in_order = st.lists(
    st.tuples(st.integers(1, 2), st.integers(0, 7200), st.integers(0, 60), st.integers(0, 60)), max_size=40
).map(
    lambda rows: tuple(
        Play(order, period, (period - 1) * 720 + tenths / 10, home, away)
        for order, (period, tenths, home, away) in enumerate(rows)
    )
)


def test_margin_counts_plays_exactly_on_the_mark() -> None:
    game = snapshot(Play(1, 1, 60.0, 2, 0), Play(2, 1, 60.1, 4, 0), t=130.0)
    assert margins(game) == (2, 4)


def test_a_play_at_the_start_of_q2_does_not_count_for_minute_12() -> None:
    game = snapshot(Play(1, 1, 720.0, 3, 0), Play(2, 2, 720.0, 3, 5), t=781.0, period=2)
    assert margins(game)[11:] == (3, -2)


@given(plays_in_order)
def test_margins_follow_the_one_rule_whatever_the_order_of_the_clocks(plays: tuple[Play, ...]) -> None:
    game = snapshot(*plays, t=1440.0, period=2, ended=True)
    assert margins(game) == tuple(brute_force_margin(plays, minute) for minute in range(1, 25))


@given(plays_in_order)
def test_leaving_out_plays_that_change_nothing_changes_no_margin(plays: tuple[Play, ...]) -> None:
    whole = snapshot(*plays, t=1440.0, period=2, ended=True)
    assert margins(replace(whole, plays=essential_plays(plays))) == margins(whole)


def test_possession_is_told_of_minutes_that_are_over() -> None:
    game = replace(snapshot(t=130.0), possessions=(0, 1, -1))
    assert [possession(game, minute) for minute in range(3)] == [0, 1, -1]
    with pytest.raises(SnapshotError, match="possession at minute 3 asked, 2 played"):
        possession(game, 3)
    assert possession(replace(game, possessions=()), 2) == 0
    assert Snapshot.from_json(game.to_json()) == game


def test_a_snapshot_without_possessions_has_the_digest_it_had_before_there_were_any() -> None:
    assert snapshot(Play(1, 1, 60.0, 2, 0)).digest == "e0b8a97561c42228125a3759baeb7775"


@pytest.mark.parametrize(
    ("period", "t", "minutes"),
    [
        (0, 0.0, 0),
        (1, 59.9, 0),
        (1, 60.0, 1),
        (1, 720.0, 12),
        (2, 720.0, 12),
        (2, 1439.0, 23),
        (2, 1440.0, 24),
        (5, 2900.0, 24),
    ],
)
def test_minutes_are_over_when_the_clock_has_reached_them(period: int, t: float, minutes: int) -> None:
    assert minutes_reached(period, t) == minutes


@given(plays_in_order)
def test_a_snapshot_survives_its_json(plays: tuple[Play, ...]) -> None:
    game = snapshot(*plays, t=900.0, period=2)
    again = Snapshot.from_json(game.to_json())
    assert again == game
    assert again.digest == game.digest


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"game_id": 1}', "\x00", '{"period": "x"}'])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(SnapshotError):
        Snapshot.from_json(text)


def test_minutes_complete_by_the_clock_and_the_last_by_the_end_of_the_period() -> None:
    assert completed_minutes(snapshot(t=59.9)) == 0
    assert completed_minutes(snapshot(t=60.0)) == 1
    assert completed_minutes(snapshot(t=1439.9, period=2)) == 23
    assert completed_minutes(snapshot(t=1440.0, period=2, ended=True)) == 24


def test_asking_for_a_minute_not_yet_played_is_refused() -> None:
    with pytest.raises(SnapshotError, match="minute 18 asked, 17 played"):
        pattern(snapshot(t=1079.0, period=2))


def test_the_official_forecast_is_due_from_6_00_left_until_the_half() -> None:
    assert not official_due(snapshot(t=1079.9, period=2))
    assert official_due(snapshot(t=1080.0, period=2))
    assert official_due(snapshot(t=1440.0, period=2))
    assert not official_due(snapshot(t=1440.0, period=2, ended=True))
    assert not official_due(replace(snapshot(t=2000.0, period=3)))


def test_the_minute_to_forecast_is_the_newest_completed_one_of_a_first_half_being_played() -> None:
    assert [forecast_minute(snapshot(t=t)) for t in (0.0, 59.9, 60.0, 719.9, 720.0)] == [0, 0, 1, 11, 12]
    assert [forecast_minute(snapshot(t=t, period=2)) for t in (720.0, 1080.0, 1439.9)] == [12, 18, 23]
    assert forecast_minute(replace(snapshot(t=0.0), period=0)) == 0
    assert forecast_minute(snapshot(t=1440.0, period=2)) is None, "the last minute is over, the half not yet"
    assert forecast_minute(snapshot(t=1440.0, period=2, ended=True)) is None
    assert forecast_minute(snapshot(t=1500.0, period=3)) is None
    for status in (Status.SCHEDULED, Status.POSTPONED, Status.FINAL):
        assert forecast_minute(replace(snapshot(t=60.0), status=status)) is None


def test_the_halftime_score_is_the_last_of_the_second_period() -> None:
    game = snapshot(Play(1, 2, 1440.0, 50, 48), Play(2, 3, 1450.0, 53, 48), period=3)
    assert halftime_score(game) == (50, 48)
    with pytest.raises(SnapshotError, match="not at half"):
        halftime_score(snapshot(t=1200.0, period=2))


def test_a_final_game_is_past_its_half() -> None:
    assert half_over(replace(snapshot(), status=Status.FINAL))
