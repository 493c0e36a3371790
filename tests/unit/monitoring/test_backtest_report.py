"""The backtest's report: what it says is what the figures allow, and the page needs nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from models.backtest_result import BacktestResult, combine
from monitoring import backtest_figures as figures
from monitoring.backtest_report import render_html, write_html
from monitoring.backtest_text import official_minute, summary
from tests.support.seasons import made_season

RESULT = combine("simulated", [made_season(2020), made_season(2021)])


def with_pooled(minute: int, forecaster: str, **changes: float | None) -> BacktestResult:
    rows = [
        row | changes if (row["minute"], row["forecaster"]) == (minute, forecaster) else row for row in RESULT.pooled
    ]
    return replace(RESULT, pooled=rows)


def test_a_sure_gain_is_told_with_its_range() -> None:
    first, second, *_ = summary(RESULT)
    row = next(row for row in RESULT.pooled if (row["minute"], row["forecaster"]) == (18, "ensemble"))
    assert f"squared error is {row['mse_skill']:.1%} lower than persistence's" in first
    assert f"(95% range {row['mse_skill_lower']:.1%} to {row['mse_skill_upper']:.1%})" in first
    assert "seasons 2020, 2021, 240 games" in first
    assert second == "It beats persistence at every one of the 2 minutes, in both scores and beyond chance."


def test_a_gain_that_chance_could_make_is_called_so() -> None:
    unsure = with_pooled(18, "ensemble", mse_skill=0.01, mse_skill_lower=-0.01, mse_skill_upper=0.03)
    first, second, *_ = summary(unsure)
    assert "1.0% lower than persistence's (95% range -1.0% to 3.0%, which chance alone could do)" in first
    assert second == "It beats persistence in both scores and beyond chance at 1 of 2 minutes; not at 18."


def test_too_few_dates_give_no_range_and_no_verdict_but_say_so() -> None:
    few = combine("simulated", [made_season(2020, games=48)])
    first, second, *others = summary(few)
    row = next(row for row in few.pooled if (row["minute"], row["forecaster"]) == (18, "ensemble"))
    assert f"squared error is {row['mse_skill']:.1%} lower than persistence's, and its CRPS" in first
    assert "48 games" in first
    assert second == (
        "12 league dates are too few for ranges and verdicts, which need at least 20: chance alone could do all of it."
    )
    told = " ".join((first, *others))
    for word in ("range", "beyond", "verdict", "clear difference", "better", "worse", "larger", "None", "chance"):
        assert word not in told
    assert any(sentence.endswith("of plain split conformal's.") for sentence in others)
    page = render_html(few)
    assert "12 league dates are too few" in page
    assert "<td>–</td>" in page
    assert "None" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    names = [trace["name"] for trace in figures.skill_figure(few, "mse_skill", "skill")["data"]]
    assert "ensemble" in names
    assert "95% range of the ensemble" not in names


def test_skill_that_is_not_defined_is_called_so() -> None:
    ends = ("", "_lower", "_upper")
    never = with_pooled(18, "ensemble", **{f"{one}_skill{end}": None for one in ("mse", "crps") for end in ends})
    first, second, third, *_ = summary(never)
    assert first.startswith(
        "At minute 18 the ensemble's squared error is not compared with persistence's, which is 0, and its CRPS is not"
    )
    assert second == "It beats persistence in both scores and beyond chance at 1 of 2 minutes; not at 18."
    assert third.endswith(", ensemble not defined.")
    assert "None" not in " ".join(summary(never))
    drawn = {trace["name"]: trace for trace in figures.skill_figure(never, "mse_skill", "skill")["data"]}
    assert drawn["ensemble"]["y"][-1] is None
    render_html(never)


def test_a_loss_is_called_a_loss() -> None:
    worse = with_pooled(18, "ensemble", mse_skill=-0.02, mse_skill_lower=-0.03, mse_skill_upper=-0.01)
    assert "squared error is 2.0% higher than persistence's (95% range -3.0% to -1.0%)" in summary(worse)[0]
    assert "ensemble has a larger squared error than persistence at minute 18." in summary(worse)
    assert "dejavu-published has a larger squared error than persistence at every minute." in summary(RESULT)


def test_a_long_list_of_minutes_is_shortened() -> None:
    unsure = [row | {"crps_skill_lower": -0.1} for row in RESULT.pooled]
    many = replace(RESULT, pooled=[row | {"minute": minute} for minute in (0, 1, 3, 4, 5, 9) for row in unsure])
    assert summary(replace(many, minutes=(0, 1, 3, 4, 5, 9)))[1].endswith("not at 0, 1, 3 to 5, 9.")


@pytest.mark.parametrize(
    ("ratio", "low", "high", "verdict"),
    [(1.0, 0.99, 1.01, "no clear difference"), (0.97, 0.96, 0.98, "better"), (1.04, 1.01, 1.07, "worse")],
)
def test_intervals_are_compared_with_plain_ones(ratio: float, low: float, high: float, verdict: str) -> None:
    ends = {
        "interval_score_ratio_95": ratio,
        "interval_score_ratio_95_lower": low,
        "interval_score_ratio_95_upper": high,
    }
    assert summary(with_pooled(18, "ensemble", **ends))[-1].endswith(f": {verdict}.")


def test_the_official_minute_is_the_nearest_there_is() -> None:
    assert official_minute(RESULT) == 18
    assert official_minute(replace(RESULT, minutes=(0, 12, 23))) == 23
    assert official_minute(replace(RESULT, minutes=(17, 19))) == 17


def test_a_forecaster_far_below_persistence_does_not_flatten_the_others() -> None:
    traces = {trace["name"]: trace for trace in figures.skill_figure(RESULT, "mse_skill", "skill")["data"]}
    assert traces["dejavu-published"]["visible"] == "legendonly"
    assert "visible" not in traces["ensemble"]
    assert "persistence" not in traces


def test_figures_show_the_numbers_of_the_result() -> None:
    width = {trace["name"]: trace["y"] for trace in figures.width_figure(RESULT)["data"]}
    assert width["ensemble"] == [row["width_95"] for row in RESULT.pooled if row["forecaster"] == "ensemble"]
    (bars,) = figures.pit_figure(RESULT)["data"]
    assert sum(bars["y"]) == pytest.approx(1.0)
    coverage = figures.coverage_figure(RESULT)["data"][0]
    cells = [row["coverage_95"] for row in RESULT.rows if row["forecaster"] == "ensemble" and row["season"] == 2020]
    assert coverage["y"][0] == pytest.approx(sum(cells) / 2)
    chances = figures.chances_figure(RESULT)["data"][1]
    assert chances["x"] == sorted(chances["x"])


def test_the_page_is_whole_and_asks_for_nothing(tmp_path: Path) -> None:
    path = write_html(RESULT, tmp_path / "deep" / "backtest.html")
    page = path.read_text(encoding="utf-8")
    assert [other.name for other in path.parent.iterdir()] == ["backtest.html"]
    assert page == render_html(RESULT)
    assert "simulated league" in page
    assert "default-src 'none'" in page
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["']?https?:""", outside)
    embedded = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    assert embedded is not None
    drawn = json.loads(embedded[1])
    assert all(f'<div id="{name}"></div>' in page for name in drawn)
    for row in RESULT.rows:
        assert f"<td>{row['crps']:.3f}</td>" in page


def test_notes_are_escaped() -> None:
    page = render_html(replace(RESULT, notes=("<b>left out</b>",), source="recorded"))
    assert "<li>&lt;b&gt;left out&lt;/b&gt;</li>" in page
    assert "recorded games" in page
