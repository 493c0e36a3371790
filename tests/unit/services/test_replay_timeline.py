from dataclasses import replace
from itertools import pairwise

import pytest

from models.game import Snapshot, half_over, halftime_score, margins
from models.succession import Verdict, supersedes
from services.replay_overtime import cast, with_overtime
from services.replay_rules import parse_rules
from services.replay_slate import Script
from services.replay_timeline import Timeline, build_timeline
from services.wire import parse_playbyplay
from tests.support.feed_nights import evening
from tests.support.live_path import follow, line_of

SCRIPT = evening().games[0]
BEHAVED = build_timeline(SCRIPT)


def timeline(rules: str, script: Script = SCRIPT, seed: int = 0) -> Timeline:
    return build_timeline(script, parse_rules(rules), script.tip_s, seed)


def snapshots(shown: Timeline, script: Script = SCRIPT) -> list[Snapshot]:
    game = line_of(script)
    counts = dict.fromkeys(shown.count(at_s) for at_s in shown.moments)
    return [parse_playbyplay(shown.body(count), game) for count in counts]


def last(shown: Timeline, script: Script = SCRIPT) -> Snapshot:
    return parse_playbyplay(shown.body(len(shown.moments)), line_of(script))


def test_every_file_of_a_well_behaved_game_is_newer_than_the_one_before() -> None:
    for first, second in pairwise(snapshots(BEHAVED)):
        assert supersedes(first, second) is not Verdict.STALE
        assert second.t >= first.t


def test_the_final_file_holds_the_recorded_game() -> None:
    final = last(BEHAVED)
    assert final.score == (SCRIPT.rows[-1].home, SCRIPT.rows[-1].away)
    assert half_over(final)


def test_equal_counts_are_equal_files_and_moments_are_where_they_change() -> None:
    first, second = BEHAVED.moments[10], BEHAVED.moments[11]
    assert BEHAVED.count(first) == BEHAVED.count((first + second) / 2) < BEHAVED.count(second)
    assert BEHAVED.body(11) != BEHAVED.body(12)


@pytest.mark.parametrize("rules", ["late=0.2", "duplicate=0.2", "edited=0.3", "take_back=0.2", "late,edited,take_back"])
def test_misbehaving_plays_never_change_how_the_game_ends(rules: str) -> None:
    shown = timeline(rules)
    assert len(shown.moments) > len(BEHAVED.moments) or rules == "late=0.2"
    assert shown.moments != BEHAVED.moments
    final = last(shown)
    assert margins(final) == margins(last(BEHAVED))
    assert final.score == last(BEHAVED).score
    assert halftime_score(final) == halftime_score(last(BEHAVED))


def test_equal_seeds_misbehave_equally() -> None:
    assert timeline("late").moments == timeline("late").moments != timeline("late", seed=1).moments


def test_a_late_play_appears_after_plays_that_follow_it() -> None:
    shown = timeline("late*1@20m")
    orders = [[play.key[0] for play in shown.shown(count)] for count in range(1, len(shown.moments) + 1)]
    assert all(order == sorted(order) for order in orders)
    inserted = [before for before, after in pairwise(orders) if after[-1] == before[-1]]
    assert len(inserted) == 1


def test_a_duplicate_is_in_the_file_twice_under_one_order_number() -> None:
    shown = timeline("duplicate*1@20m")
    orders = [play.key[0] for play in shown.shown(len(shown.moments))]
    assert len(orders) == len(set(orders)) + 1
    assert len(last(shown).plays) == len(last(BEHAVED).plays)


def test_an_edited_play_has_a_newer_edit_and_nothing_else_changes() -> None:
    shown = timeline("edited*1@20m")
    before, after = next(
        pair for pair in pairwise(snapshots(shown)) if pair[0].digest == pair[1].digest and pair[0] != pair[1]
    )
    assert before.edited_at is not None
    assert after.edited_at is not None
    assert after.edited_at > before.edited_at


def test_a_score_taken_back_goes_down_with_a_newer_edit() -> None:
    down = [
        (before, after)
        for before, after in pairwise(snapshots(timeline("take_back*2@20m")))
        if sum(after.score) < sum(before.score)
    ]
    assert len(down) == 2
    for before, after in down:
        assert sum(before.score) - sum(after.score) in (2, 3)
        assert supersedes(before, after) in (Verdict.CORRECTION, Verdict.NEW)


def test_a_pattern_given_too_early_is_revised_to_the_recorded_one() -> None:
    behaved = follow(SCRIPT).patterns
    assert len(behaved) == 1
    revised = 0
    for seed in range(6):
        path = follow(SCRIPT, timeline("take_back=0.3", seed=seed))
        revised += len(path.patterns) > 1
        assert path.patterns[-1] == behaved[0]
    assert revised


def test_an_older_file_is_seen_to_be_stale() -> None:
    files = snapshots(BEHAVED)
    for newer, older in zip(files[100::50], files[60::50], strict=False):
        assert supersedes(newer, older) is Verdict.STALE


def test_an_overtime_ties_the_game_and_leaves_its_first_half() -> None:
    for script in evening().games[:4]:
        longer = with_overtime(script)
        final = last(build_timeline(longer), longer)
        assert final.period >= 5
        if script.rows[-1].period == 4:
            tied = [row for row in longer.rows if row.period == 4][-1]
            assert tied.home == tied.away
        assert margins(final) == margins(last(build_timeline(script), script))
        assert final.score[0] != final.score[1]


def test_rules_about_games_meet_the_last_and_the_closest_game_or_the_target() -> None:
    scripts = evening().games
    postponed = cast(scripts, parse_rules("postponed"))
    assert [script.postponed for script in postponed].index(True) == len(scripts) - 1
    named = cast(scripts, parse_rules(f"postponed:{scripts[0].game_id},overtime:{scripts[1].game_id}"))
    assert [script.postponed for script in named] == [True] + [False] * (len(scripts) - 1)
    assert named[1].rows[-1].period >= 5
    closest = min(scripts, key=lambda script: abs(script.rows[-1].home - script.rows[-1].away))
    assert cast([replace(closest)], parse_rules("overtime"))[0].rows[-1].period >= 5
