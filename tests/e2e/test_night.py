"""One night through the real command line, in processes of its own, from an empty data folder to the report."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from tests.e2e.conftest import PlayedNight

HOPS = ("feed_to_queue", "queue_to_forecast", "forecast_to_commit", "commit_to_client", "feed_to_client")


class Page(HTMLParser):
    """What a page asks others for when it is opened, what it allows itself, and what a person reads on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetches: list[str] = []
        self.policy = ""
        self.words = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        named = dict(attrs)
        self.fetches += [f"{tag} {name}={named[name]}" for name in ("src", "href", "srcset", "data") if named.get(name)]
        if (named.get("http-equiv") or "").lower() == "content-security-policy":
            self.policy = named.get("content") or ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.fetches += re.findall(r"@import.*|url\((?!['\"]?data:).*?\)", data)
        elif self._inside != "script":
            self.words += data


@pytest.fixture(scope="module")
def report(played: PlayedNight) -> dict[str, Any]:
    return played.report


def test_the_command_succeeds_and_prints_nothing_but_its_json(played: PlayedNight) -> None:
    assert played.done.status == 0, played.done.err
    assert played.done.out.count("\n") == 1
    assert "Traceback" not in played.done.err
    assert {
        "league_date",
        "source",
        "games",
        "totals",
        "mae",
        "mae_persistence",
        "coverage",
        "latency_ms",
        "model",
    } <= (played.report.keys())


def test_every_game_of_the_slate_has_a_forecast_and_is_settled_once(
    report: dict[str, Any], truth: pd.DataFrame
) -> None:
    assert [game["game_id"] for game in report["games"]] == list(truth.index)
    assert [game["disposition"] for game in report["games"]] == ["forecast"] * len(truth)
    totals = report["totals"]
    assert totals["games"] == totals["forecast"] == totals["settled"] == len(truth) >= 8
    assert totals["missed"] == totals["void"] == totals["undecided"] == totals["duplicates"] == 0


def test_what_was_settled_is_what_happened(report: dict[str, Any], truth: pd.DataFrame) -> None:
    for game in report["games"]:
        happened = truth.loc[game["game_id"]]
        assert (game["home"], game["away"]) == (happened["home"], happened["away"])
        assert game["actual"] == happened["diff_24"]
        assert game["actual_state"] == "final"
        assert game["path"] == [happened[f"diff_{minute:02d}"] for minute in range(1, 25)]
        assert game["persistence"] == happened["diff_18"]
        assert game["covered"] == (game["lower"] <= game["actual"] <= game["upper"])
        assert game["error"] == pytest.approx(game["actual"] - game["point"])


def test_the_figures_are_those_of_its_games(report: dict[str, Any]) -> None:
    games = report["games"]
    assert report["mae"] == pytest.approx(sum(abs(game["actual"] - game["point"]) for game in games) / len(games))
    assert report["mae_persistence"] == pytest.approx(
        sum(abs(game["actual"] - game["persistence"]) for game in games) / len(games)
    )
    assert report["coverage"] == sum(game["covered"] for game in games) / len(games)


def test_every_hop_was_measured_for_every_game(report: dict[str, Any]) -> None:
    for hop in HOPS:
        figures = report["latency_ms"][hop]
        assert figures["n"] == report["totals"]["games"]
        assert 0 < figures["p50"] <= figures["p95"] <= figures["p99"]


def test_the_model_is_named_and_is_the_one_of_its_source(report: dict[str, Any], played: PlayedNight) -> None:
    assert re.fullmatch(r"\d+", report["model"]["version"])
    assert re.fullmatch(r"[0-9a-f]{64}", report["model"]["digest"])
    assert report["source"] == ("simulated" if played.simulated else "recorded")


def test_the_page_stands_alone_and_says_when_its_games_are_simulated(played: PlayedNight) -> None:
    page = Page(played.page.read_text())
    assert page.fetches == []
    assert "default-src 'none'" in page.policy
    assert ("simulated league" in page.words) == played.simulated
    for game in played.report["games"]:
        assert f"{game['away']} at {game['home']}" in page.words


def test_nothing_is_left_running_and_every_port_is_free(played: PlayedNight) -> None:
    assert played.left == []
    assert played.listening == []
    assert not list((played.home.folder / "run").glob("*.json"))
