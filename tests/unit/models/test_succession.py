"""Which of two snapshots is the state of the game."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from models.game import Play, SnapshotError, Status, margins
from models.succession import Verdict, supersedes
from tests.unit.models.test_game import AT, snapshot

BASE = snapshot(Play(5, 1, 100.0, 2, 0))


def test_the_first_snapshot_is_new() -> None:
    assert supersedes(None, BASE) is Verdict.NEW


def test_an_equal_one_is_the_same() -> None:
    assert supersedes(BASE, replace(BASE, edited_at=AT + timedelta(1))) is Verdict.SAME


def test_more_game_time_is_new() -> None:
    assert supersedes(BASE, replace(BASE, t=101.0)) is Verdict.NEW


def test_an_older_copy_is_stale() -> None:
    assert supersedes(BASE, snapshot(t=50.0)) is Verdict.STALE


def test_a_score_taken_back_at_the_same_clock_is_a_correction_when_its_edit_is_newer() -> None:
    back = replace(BASE, plays=(), edited_at=AT + timedelta(seconds=30))
    assert supersedes(BASE, back) is Verdict.CORRECTION


def test_the_same_clock_with_fewer_plays_and_no_newer_edit_is_stale() -> None:
    assert supersedes(BASE, replace(BASE, plays=())) is Verdict.STALE


def test_a_corrected_score_within_the_same_second_of_edits_is_a_correction() -> None:
    corrected = replace(BASE, plays=(Play(5, 1, 100.0, 3, 0),))
    assert supersedes(BASE, corrected) is Verdict.CORRECTION


def test_the_same_plays_with_an_older_edit_and_another_score_are_stale() -> None:
    older = replace(BASE, plays=(Play(5, 1, 100.0, 3, 0),), edited_at=AT - timedelta(seconds=1))
    assert supersedes(BASE, older) is Verdict.STALE


def test_a_free_throw_at_a_stopped_clock_is_new() -> None:
    more = replace(BASE, plays=(*BASE.plays, Play(6, 1, 100.0, 3, 0)))
    assert supersedes(BASE, more) is Verdict.NEW


def test_time_put_back_on_the_clock_is_a_correction_when_its_edit_is_newer() -> None:
    back = replace(BASE, t=98.0, edited_at=AT + timedelta(seconds=30))
    assert supersedes(BASE, back) is Verdict.CORRECTION


def test_a_game_that_is_broken_off_is_new_and_so_is_its_resumption() -> None:
    playing = snapshot(t=400.0)
    postponed = replace(playing, status=Status.POSTPONED, period=0, t=0.0, plays=(), event_at=None, edited_at=None)
    assert supersedes(playing, postponed) is Verdict.NEW
    assert supersedes(postponed, playing) is Verdict.NEW
    assert supersedes(replace(playing, status=Status.FINAL), postponed) is Verdict.STALE


def test_who_has_the_ball_may_change_without_a_change_of_margins() -> None:
    held = replace(BASE, possessions=(0, 1))
    loose = replace(held, possessions=(0, 0), edited_at=AT + timedelta(seconds=1))
    assert supersedes(held, loose) is Verdict.CORRECTION
    assert supersedes(loose, held) is Verdict.STALE
    assert margins(held) == margins(loose)


def test_two_games_cannot_be_compared() -> None:
    with pytest.raises(SnapshotError, match="two games"):
        supersedes(BASE, replace(BASE, game_id="0022200002"))


@pytest.mark.parametrize("changes", [{"t": 101.0}, {"plays": ()}])
def test_what_was_polled_earlier_replaces_nothing_unless_its_edit_is_newer(changes: dict[str, object]) -> None:
    other = replace(BASE, **changes)  # type: ignore[arg-type]
    assert supersedes(BASE, other, later=False) is Verdict.STALE
    newer = replace(other, edited_at=AT + timedelta(seconds=30))
    assert supersedes(BASE, newer, later=False) is supersedes(BASE, newer)
    assert supersedes(BASE, newer, later=False) is not Verdict.STALE
