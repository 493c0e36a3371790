import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.replay_rules import ANSWER_KINDS, KINDS, AnswerFaults, Rule, RuleError, parse_rules


def test_the_short_form_says_everything() -> None:
    assert parse_rules("late=0.05, take_back*1:0022200785 ,blocked@30m+90s,timeout*3:scoreboard,stale@1h") == [
        Rule("late", rate=0.05),
        Rule("take_back", count=1, target="0022200785"),
        Rule("blocked", start_s=1800.0, length_s=90.0),
        Rule("timeout", count=3, target="scoreboard"),
        Rule("stale", start_s=3600.0),
    ]


def test_json_says_the_same() -> None:
    assert parse_rules('[{"kind":"blocked","start_s":1800,"length_s":90}]') == parse_rules("blocked@30m+90s")


def test_an_empty_text_holds_no_rules() -> None:
    assert parse_rules("") == parse_rules("  ") == parse_rules("[]") == []


@pytest.mark.parametrize(
    "text",
    ["gone", "late=2", "late=0", "late=x", "late:boston", "blocked@soon", '[{"kind":"late","chance":1}]', "[", "[1]"],
)
def test_a_rule_that_cannot_be_read_is_refused_with_help(text: str) -> None:
    with pytest.raises(RuleError, match=r"kinds are|such as"):
        parse_rules(text)


@given(st.text(max_size=30))
def test_any_text_is_rules_or_a_rule_error(text: str) -> None:
    try:
        parse_rules(text)
    except RuleError as error:
        assert str(error)  # noqa: PT017


def test_plays_are_met_seldom_and_answers_always_unless_said_otherwise() -> None:
    assert {kind for kind in KINDS if Rule(kind).chance == 1.0} == ANSWER_KINDS | {"postponed", "overtime"}  # type: ignore[arg-type]
    assert Rule("late", count=1).chance == 1.0


def test_a_count_is_the_most_that_happens() -> None:
    faults = AnswerFaults(parse_rules("blocked*2,throttled*1"), seed=0)
    drawn = [faults.draw("scoreboard", None, 0.0) for _ in range(5)]
    assert drawn == ["blocked", "blocked", "throttled", None, None]


def test_a_rule_meets_its_target_in_its_time() -> None:
    faults = AnswerFaults(parse_rules("stale:0022200785@10m+60s"), seed=0)
    assert faults.draw("playbyplay", "0022200785", 599.0) is None
    assert faults.draw("playbyplay", "0022200785", 600.0) == "stale"
    assert faults.draw("playbyplay", "0022200786", 600.0) is None
    assert faults.draw("scoreboard", None, 600.0) is None
    assert faults.draw("playbyplay", "0022200785", 660.0) is None


def test_equal_seeds_meet_the_same_answers() -> None:
    runs = []
    for seed in (1, 1, 2):
        faults = AnswerFaults(parse_rules("server_error=0.5"), seed)
        runs.append([faults.draw("scoreboard", None, 0.0) for _ in range(30)])
    assert runs[0] == runs[1] != runs[2]
