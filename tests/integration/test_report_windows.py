"""Reports of a week, a season and a span, from a real database and stored in it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness
from typer.testing import CliRunner

from flows.cli import app
from flows.report import (
    NoNight,
    StoredWindow,
    WrongSpan,
    artifact,
    nightly_report,
    span_report,
    stored_page,
)
from flows.report import tell_prefect as tell
from models.planting import harder
from monitoring.reports import SNAPSHOT
from monitoring.workspace import project_id, workspace_path
from services.board_reports import report_page
from services.settings import Settings
from services.store import Store
from tests.support.league_played import SEASON, league, load, play

MODEL = "halftime-simulated"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    own = {"database_url": database_url, "home": tmp_path, "source": "simulated"}
    return Settings(_env_file=None, **own)  # type: ignore[arg-type]


def weeks(games: pd.DataFrame, first: int, nights: int = 7) -> pd.DataFrame:
    """Games of ``nights`` league dates of the season, from the ``first`` one on."""
    days = sorted(set(games[games["season"] == SEASON]["date"]))[first : first + nights]
    return games[games["date"].isin(days)]


@pytest.fixture
def past(store: Store) -> Store:
    """History up to the season, none of it forecast."""
    load(store, league()[league()["season"] < SEASON])
    return store


def drifted(store: Store, window: StoredWindow) -> set[str]:
    body = store.report_body(window.report_id)
    assert body is not None
    return {one["column"] for one in body["drift"] if one["drifted"]}


def test_a_clean_week_and_season_are_compared_in_every_column_and_not_flagged(settings: Settings, past: Store) -> None:
    early, late = weeks(league(), 20), weeks(league(), 27)
    play(past, early, model_name=MODEL, version="3")
    play(past, late, model_name=MODEL, version="4")
    made = nightly_report(settings)
    week, season = made.windows
    assert (week.window.since, week.window.until) == (late["date"].min(), late["date"].max())
    assert (season.window.since, season.window.until) == (early["date"].min(), late["date"].max())
    assert (made.evidently_id, made.evidently_status) == (week.report_id, "ok")
    for window, games in ((week, late), (season, pd.concat([early, late]))):
        assert window.flags == ()
        body = past.report_body(window.report_id)
        assert body is not None
        assert body["n"] == len(games)
        columns = ["minute_6", "minute_12", "lead", "swing", "volatility", "pace", "rating"]
        assert [one["column"] for one in body["drift"]] == columns
        assert {one["test"].partition(":")[0] for one in body["tests"]} >= {
            "Mean Error", "Coverage", "Mean width of the intervals, points",
        }  # fmt: skip
        assert body["reference"] == f"1300 games before {early['date'].min()}"
        assert body["figures"]["mae"] == pytest.approx((games["diff_24"] - games["diff_18"]).abs().mean())
        assert window.figures["mean_width"] == 28.0
    kinds = [one.kind for one in past.list_reports(league_date=made.league_date)]
    assert sorted(kinds) == ["evidently", "evidently-season", "night"]


def test_a_league_that_moves_more_is_found_and_so_is_what_it_does_to_the_intervals(
    settings: Settings, past: Store
) -> None:
    games = weeks(league(), 20)
    play(past, harder(games, games["date"].min(), 2.0), model_name=MODEL)
    week = nightly_report(settings).windows[0]
    assert drifted(past, week) >= {"volatility"}
    assert "rating" not in drifted(past, week)
    assert any(flag.startswith("Coverage") for flag in week.flags)


def test_a_league_that_scores_more_is_found_by_its_pace_alone(settings: Settings, past: Store) -> None:
    games = weeks(league(), 20)
    more = {name: games[name] + 6 for name in ("home_score_24", "away_score_24")}
    play(past, games.assign(**more), model_name=MODEL)
    week = nightly_report(settings).windows[0]
    assert drifted(past, week) == {"pace"}
    assert len(week.flags) == 1


def test_a_model_that_leans_or_says_too_much_is_flagged_though_no_game_is_unusual(
    settings: Settings, past: Store
) -> None:
    play(past, weeks(league(), 20), model_name=MODEL, lean=9.0)
    week = nightly_report(settings).windows[0]
    assert drifted(past, week) == set()
    assert any(flag.startswith("Mean Error") for flag in week.flags)
    assert any(flag.startswith("Skill") for flag in week.flags)


def test_intervals_that_say_nothing_are_flagged_by_their_width_and_coverage(settings: Settings, past: Store) -> None:
    play(past, weeks(league(), 20, 14), model_name=MODEL, half_width=60.0)
    season = nightly_report(settings).windows[1]
    flagged = [flag.partition(":")[0] for flag in season.flags]
    assert flagged == ["Coverage", "Mean width of the intervals, points"], "all of 97 held is more than 95%"


def test_each_version_and_minute_has_its_row_and_a_night_made_again_doubles_none(
    settings: Settings, past: Store
) -> None:
    nights = sorted(set(weeks(league(), 20, 9)["date"]))
    for version, since, until in (("3", 0, 2), ("4", 2, 5), ("5", 5, 9)):
        chosen = league()[league()["date"].isin(nights[since:until])]
        play(past, chosen, model_name=MODEL, version=version)
    first = nightly_report(settings)
    rows = past.performance(MODEL)
    keys = {(row["scope"], row["model_version"], row["minute"]) for row in rows}
    assert {key for key in keys if key[2] == 6} == {
        ("week", "4", 6), ("week", "5", 6), ("season", "4", 6), ("season", "5", 6),
        ("week-line", "5", 6), ("season-line", "5", 6),
    }  # fmt: skip
    line = next(row for row in rows if (row["scope"], row["minute"]) == ("season-line", 18))
    assert line["n"] == len(league()[league()["date"].isin(nights)])
    assert line["figures"]["drift_lead"] < 0.5
    parts = [row for row in rows if (row["scope"], row["minute"]) == ("week", 18)]
    week = next(row for row in rows if (row["scope"], row["minute"]) == ("week-line", 18))
    assert sum(row["n"] for row in parts) == week["n"]
    mixed = sum(row["n"] * row["figures"]["coverage"] for row in parts) / week["n"]
    assert mixed == pytest.approx(week["figures"]["coverage"])
    again = nightly_report(settings)
    assert len(past.performance(MODEL)) == len(rows)
    assert [one.report_id for one in again.windows] == [one.report_id for one in first.windows]
    assert (again.night_id, again.evidently_id) == (None, None)
    assert len(past.list_reports(league_date=first.league_date)) == 3


def test_another_line_of_models_is_left_out_and_counted(settings: Settings, past: Store) -> None:
    nights = sorted(set(weeks(league(), 20)["date"]))
    old, new = (league()[league()["date"].isin(part)] for part in (nights[:3], nights[3:]))
    play(past, old, model_name=MODEL, version="3", lineage="be" * 8)
    play(past, new, model_name=MODEL, version="4", lineage="af" * 8)
    body = past.report_body(nightly_report(settings).windows[0].report_id)
    assert body is not None
    assert (body["n"], body["others_left_out"], body["lineage"]) == (len(new), len(old), "af" * 8)
    assert [one["model_version"] for one in body["by_version"]] == ["4"]


def test_few_games_or_none_say_so_and_raise_nothing(settings: Settings, past: Store) -> None:
    with pytest.raises(NoNight):
        nightly_report(settings)
    none = span_report(settings, date(2020, 1, 1), date(2020, 1, 31))
    assert none.message == "not enough games (n=0): a report needs 5"
    assert past.performance(MODEL) == []
    play(past, weeks(league(), 20).head(3), model_name=MODEL)
    week, season = nightly_report(settings).windows
    assert week.message == season.message == "not enough games (n=3): a report needs 5"
    assert stored_page(settings, week.report_id) is None
    assert week.figures["skill"] is None
    assert "| skill | not known |" in artifact(week)
    assert {row["n"] for row in past.performance(MODEL)} == {3}


def test_the_page_shows_the_snapshot_that_is_stored(settings: Settings, past: Store) -> None:
    play(past, weeks(league(), 20), model_name=MODEL)
    week = nightly_report(settings).windows[0]
    page, body = stored_page(settings, week.report_id), past.report_body(week.report_id)
    assert page is not None
    assert body is not None
    coverage = next(one for one in body[SNAPSHOT]["metric_results"].values() if "Coverage" in one["display_name"])
    assert coverage["value"] == week.figures["coverage"]
    for test in body["tests"]:
        assert json.dumps(test["description"])[1:-1].replace("<", "\\u003c") in page
    row = {"id": week.report_id, "kind": "evidently", "league_date": "", "model_version": "3", "created_at": ""}
    shown = report_page(row | {"body": body})
    assert all(test["description"].replace(">", "&gt;").replace("<", "&lt;") in shown for test in body["tests"])
    assert len(shown) < 200_000, "plots are not for the board"
    assert len(json.dumps(body)) < 400_000


def test_a_span_is_reported_by_the_command_line(
    settings: Settings, past: Store, database_url: str, tmp_path: Path
) -> None:
    games = weeks(league(), 20)
    play(past, games, model_name=MODEL)
    since, until = games["date"].min(), games["date"].max() - timedelta(days=2)
    env = {"DATABASE_URL": database_url, "HALFTIME_HOME": str(tmp_path), "HALFTIME_SOURCE": "simulated"}
    page = tmp_path / "span.html"
    asked = ["report", "--since", str(since), "--until", str(until), "--html", str(page), "--json"]
    from services.settings import get_settings

    get_settings.cache_clear()
    done = CliRunner().invoke(app, asked, env=env)
    get_settings.cache_clear()
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["window"], told["since"], told["until"]) == ("span", str(since), str(until))
    body = past.report_body(told["report_id"])
    assert body is not None
    assert body["n"] == (games["date"] <= until).sum()
    assert {row["scope"] for row in past.performance(MODEL)} == {f"span from {since}", f"span from {since}-line"}
    assert page.stat().st_size > 1_000_000
    with pytest.raises(WrongSpan, match="is after"):
        span_report(settings, until, since)


def test_evidently_s_ui_has_the_same_snapshots_and_no_report_twice(settings: Settings, past: Store) -> None:
    from evidently.ui.workspace import Workspace

    play(past, weeks(league(), 20), model_name=MODEL)
    made = nightly_report(settings)
    assert nightly_report(settings).evidently_id is None
    workspace = Workspace.create(str(workspace_path(settings)))
    assert sorted(project.name for project in workspace.list_projects()) == [
        "Halftime, simulated games: season",
        "Halftime, simulated games: week",
    ]
    for window in made.windows:
        project = project_id("simulated", window.window.name)
        [run] = workspace.list_runs(project)
        shown = workspace.get_run(project, run)
        body = past.report_body(window.report_id)
        assert shown is not None
        assert body is not None
        values = {
            one["display_name"]: one["value"]
            for one in body[SNAPSHOT]["metric_results"].values()
            if "value" in one and isinstance(one["value"], float)
        }
        held = {one.display_name: getattr(one, "value", None) for one in shown.metric_results.values()}
        assert len(values) > 8
        assert {name: held[name] for name in values} == values
        assert shown.timestamp.date() == made.league_date


def test_outside_prefect_no_artifact_is_made(settings: Settings, past: Store) -> None:
    play(past, weeks(league(), 20).head(6), model_name=MODEL)
    made = nightly_report(settings)
    assert tell(*made.windows) == 0
    told = artifact(made.windows[0])
    assert made.windows[0].url == f"{settings.board_url}/reports/{made.windows[0].report_id}"
    assert made.windows[0].url in told
    assert "| coverage |" in told


@pytest.mark.timeout(400)
def test_a_run_in_prefect_links_the_report_of_the_span_it_was_asked_for(
    settings: Settings, past: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    games = weeks(league(), 20)
    play(past, games, model_name=MODEL)
    from flows import orchestration

    monkeypatch.setattr(orchestration, "get_settings", lambda: settings)
    since, until = games["date"].min(), games["date"].max()
    with prefect_test_harness(server_startup_timeout=180), get_client(sync_client=True) as client:
        told = orchestration.nightly_report(since=since, until=until)
        found = {one.key: one for one in client.read_artifacts()}
        with pytest.raises(ValueError, match="until needs since"):
            orchestration.nightly_report.fn(until=until)
    assert (told["window"], told["status"]) == ("span", "ok")
    assert found.keys() == {"report-span", "report-span-link"}
    assert str(told["url"]) in str(found["report-span"].data)
    assert str(told["url"]) in str(found["report-span-link"].data)
    assert {one.flow_run_id for one in found.values()} != {None}
