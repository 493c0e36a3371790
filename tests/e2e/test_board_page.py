"""The page in a real browser: Chromium from the PATH, a board on a free port, events as the live path sends them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect
from plotly.offline import get_plotlyjs

from tests.support.board_night import bell, forecast, night, score, settlement
from tests.support.board_running import RunningBoard, running_board
from tests.support.chromium import Seen, chromium, opened
from tests.support.waiting import until

GAME = "0022200760"
SIMILAR = {"game_id": "0021900001", "date": "2019-11-02", "home": "MIL", "away": "TOR", "change": 3, "margin_24": 7,
           "path": list(range(25))}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def board() -> Iterator[RunningBoard]:
    with running_board() as running:
        yield running


@pytest.fixture
def seen(browser: Browser) -> Iterator[Seen]:
    with opened(browser) as page:
        yield page


def card(seen: Seen, game_id: str = GAME) -> str:
    return f'[data-game="{game_id}"]'


def trace(name: str) -> str:
    """A part of a chart as Plotly drew it."""
    return f".chart .trace{name}"


def test_an_empty_board_says_what_to_do(seen: Seen, board: RunningBoard) -> None:
    seen.page.goto(board.url)
    expect(seen.page.locator("#empty")).to_contain_text("make night")
    expect(seen.page.locator("#connection")).to_have_text("connected")
    assert seen.errors == []


def test_a_forecast_and_its_outcome_appear_without_reloading(seen: Seen, board: RunningBoard) -> None:
    page = seen.page
    board.add("score", GAME, score())
    board.add("pattern", GAME, {"minute": 17, "margins": list(range(17))})
    page.goto(board.url)
    shown = page.locator(card(seen))
    expect(shown).to_contain_text("BOS")
    expect(shown).to_contain_text("Q2 6:00")
    expect(shown.locator(trace("fan"))).to_have_count(0)
    expect(page.locator("#date")).to_have_attribute("datetime", "2023-02-03")
    expect(page.locator("#source")).to_have_text("replay of recorded games")

    board.add("pattern", GAME, {"minute": 18, "margins": list(range(18))})
    board.add("forecast", GAME, forecast(similar=[SIMILAR]))
    expect(shown.locator(trace("fan"))).to_have_count(1)
    expect(shown.locator(trace("point"))).to_have_count(1)
    expect(shown.locator(".values")).to_contain_text("BOS +5.2")
    expect(shown.locator(".values")).to_contain_text("BOS +4")
    expect(shown).to_contain_text("95% interval PHX +6.1 to BOS +16.4")
    expect(shown.locator(".badges")).to_contain_text("forecast")
    expect(page.locator("#announce")).to_contain_text("forecast for the half BOS +5.2")

    board.add("settlement", GAME, settlement(7))
    expect(shown.locator(".badges")).to_contain_text("✓ inside")
    expect(shown.locator(trace("outcome-in"))).to_have_count(1)
    expect(page.locator("#t-coverage")).to_have_text("1 of 1")
    expect(page.locator("#t-error")).to_contain_text("1.80")
    expect(page.locator("#t-error")).to_contain_text("3.00")

    shown.locator("summary").click()
    expect(shown.locator(".similar tbody tr")).to_have_count(1)
    expect(shown.locator(".similar tbody")).to_contain_text("TOR at MIL")
    expect(shown.locator(".similar").locator(trace("went-on"))).to_have_count(1)
    assert seen.errors == []


def test_the_newest_forecast_is_a_fan_with_a_band_a_level_and_who_leads_in_words(
    seen: Seen, board: RunningBoard
) -> None:
    page = seen.page
    board.add("score", GAME, score())
    board.add("pattern", GAME, {"minute": 7, "margins": list(range(7))})
    board.add("forecast", GAME, forecast(minute=7, persistence=6, point=4.0, distribution=bell(4.0, 9.0)))
    page.goto(board.url)
    shown = page.locator(card(seen))
    for band in ("fan", "fan-90", "fan-80", "fan-50"):
        expect(shown.locator(trace(band))).to_have_count(1)
    # A bell of mean 4 and standard deviation 9: P(more than 0.5) and P(less than -0.5).
    said = "BOS lead at half: 65%, tied 4%, PHX 31%"
    expect(shown.locator(".chance-text")).to_have_text(said)
    expect(shown.locator(".chart").first).to_have_attribute("aria-label", re.compile(re.escape(said)))
    home, tied, away = (part.bounding_box() for part in shown.locator(".chance").all())
    assert home is not None
    assert tied is not None
    assert away is not None
    assert home["width"] / (home["width"] + tied["width"] + away["width"]) == pytest.approx(0.65, abs=0.02)

    board.add("forecast", GAME, forecast(distribution=bell(5.2, 1.0)))
    expect(shown.locator(".chance-text")).to_have_text("BOS lead at half: >99%, tied <1%, PHX <1%")
    board.add("settlement", GAME, settlement(7))
    expect(shown.locator(".chance-text")).to_have_text("Said at 6:00: BOS lead >99%, tied <1%, PHX <1%")
    assert seen.errors == []


def test_a_forecast_without_a_distribution_is_a_plain_fan(seen: Seen, board: RunningBoard) -> None:
    board.add("score", GAME, score())
    board.add("forecast", GAME, forecast())
    page = seen.page
    page.goto(board.url)
    expect(page.locator(card(seen)).locator(trace("fan"))).to_have_count(1)
    expect(page.locator(card(seen)).locator(trace("fan-50"))).to_have_count(0)
    expect(page.locator(card(seen) + " .chances")).to_be_hidden()


def test_the_newest_forecast_the_official_one_and_how_it_moved_are_told_apart(seen: Seen, board: RunningBoard) -> None:
    page = seen.page
    board.add("score", GAME, score())
    board.add("forecast", GAME, forecast(minute=0, point=2.0, persistence=0))
    page.goto(board.url)
    shown = page.locator(card(seen))
    labels = shown.locator(".value:visible dt")
    expect(labels).to_have_text(["Minute 0", "◆ Official", "As it stands"])
    expect(shown.locator(".values")).to_contain_text("BOS +2.0")
    expect(shown).to_contain_text("official at 6:00 of Q2")
    moved = shown.locator(".trajectory")
    expect(moved).to_be_hidden()
    board.add("forecast", GAME, forecast(minute=1, point=-1.0, persistence=-2))
    expect(moved).to_have_attribute("aria-label", re.compile(r"minute 0 BOS \+2\.0; minute 1 PHX \+1\.0$"))
    expect(shown.locator(".official")).to_be_hidden()
    board.add("forecast", GAME, forecast())
    expect(labels).to_have_text(["◆ Official", "As it stands", "Outcome"])
    board.add("forecast", GAME, forecast(minute=20, point=7.5, persistence=9))
    expect(labels).to_have_text(["Minute 20", "◆ Official", "As it stands"])
    expect(shown.locator(".value:visible dd")).to_have_text(["BOS +7.5", "BOS +5.2", "BOS +9"])
    expect(moved).to_have_attribute("aria-label", re.compile("minute 18, official BOS"))
    expect(shown.locator(".trajectory .official")).to_be_visible()
    expect(shown.locator(".badges")).to_contain_text("official forecast")
    board.add("settlement", GAME, settlement(7))
    expect(labels).to_have_text(["◆ Official", "As it stands", "Outcome"])
    expect(shown.locator(".value:visible dd")).to_have_text(["BOS +5.2", "BOS +4", "BOS +7"])
    expect(page.locator("#t-error")).to_contain_text("1.80")
    assert seen.errors == []


def test_an_outcome_outside_a_missed_game_and_a_revision_are_named(seen: Seen, board: RunningBoard) -> None:
    board.add("score", GAME, score())
    board.add("forecast", GAME, forecast(revision=2))
    board.add("settlement", GAME, settlement(30, covered=False))
    board.add("score", "0022200761", score("MEM", "ORL", status="final", status_text="Final"))
    board.add("disposition", "0022200761", {"disposition": "missed", "reason": "first seen after the half"})
    board.add("score", "0022200762", score("DEN", "GSW", status="postponed", status_text="PPD"))
    board.add("disposition", "0022200762", {"disposition": "void", "reason": "postponed"})
    page = seen.page
    page.goto(board.url)
    expect(page.locator(card(seen) + " .badges")).to_contain_text("✗ outside")
    expect(page.locator(card(seen) + " .badges")).to_contain_text("revised 2×")
    expect(page.locator(card(seen, "0022200761"))).to_contain_text("first seen after the half")
    expect(page.locator(card(seen, "0022200762") + " .badges")).to_have_text("void")
    expect(page.locator("#t-forecasts-note")).to_have_text("1 missed · 1 void")


def test_a_team_name_never_becomes_markup(seen: Seen, board: RunningBoard) -> None:
    hostile = '<img src=x onerror="window.broken=1">'
    board.add("score", GAME, score(hostile, "PHX", status_text=hostile))
    board.add("forecast", GAME, forecast(model_version=hostile, similar=[SIMILAR | {"home": hostile, "date": hostile}]))
    board.add("disposition", GAME, {"disposition": "forecast", "reason": hostile})
    page = seen.page
    page.goto(board.url)
    shown = page.locator(card(seen))
    expect(shown.locator(".teams")).to_contain_text("<img src=x")
    shown.locator("summary").click()
    expect(shown.locator(".similar tbody")).to_contain_text("<img src=x")
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.broken") is None
    assert seen.errors == []


def test_after_a_restart_of_the_board_the_page_resumes_by_itself(seen: Seen) -> None:
    page = seen.page
    with running_board() as first:
        first.add("score", GAME, score())
        page.goto(first.url)
        expect(page.locator(card(seen))).to_be_visible()
        stream, port = first.stream, int(first.url.rsplit(":", 1)[1])
    expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
    expect(page.locator("#notice")).to_contain_text("trying again")
    expect(page.locator(card(seen))).to_be_visible()
    stream.add("forecast", GAME, forecast())
    with running_board(stream=stream, port=port):
        expect(page.locator("#connection")).to_have_attribute("data-state", "connected", timeout=30_000)
        expect(page.locator(card(seen)).locator(trace("fan"))).to_have_count(1)
        page.close()


def test_a_simulated_league_is_called_simulated(seen: Seen, board: RunningBoard) -> None:
    board.add("score", "0022290001", score(source="simulated"))
    seen.page.goto(board.url)
    expect(seen.page.locator("#source")).to_have_text("simulated league")


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_off_the_side_at_any_width(browser: Browser, board: RunningBoard, width: int, scheme: str) -> None:
    for kind, game_id, data in night():
        board.add(kind, game_id, data)
    until(lambda: len(board.live.nights.games()) == 8)
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(board.url)
    expect(page.locator(".card")).to_have_count(8)
    for summary in page.locator(".similar:not([hidden]) summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_every_chart_says_in_words_what_it_shows(seen: Seen, board: RunningBoard) -> None:
    for kind, game_id, data in night():
        board.add(kind, game_id, data)
    seen.page.goto(board.url)
    expect(seen.page.locator(".card")).to_have_count(8)
    labels = [chart.get_attribute("aria-label") for chart in seen.page.locator(".card > .plot .chart").all()]
    assert all(labels)
    assert sum("interval" in (label or "") for label in labels) == 6


def test_charts_are_plotlys_own_and_static_under_a_policy_without_inline_script(
    seen: Seen, board: RunningBoard
) -> None:
    for kind, game_id, data in night():
        board.add(kind, game_id, data)
    page = seen.page
    page.goto(board.url)
    expect(page.locator(trace("outcome-in"))).to_have_count(1)
    assert f"plotly.js v{page.evaluate('Plotly.version')}" in get_plotlyjs()[:100]
    assert page.locator(".modebar").count() == 0
    assert page.locator(".card .nsewdrag").count() == 0
    # Plotly's rules are in the page's own style sheet, so it needed no inline one.
    assert page.locator("style#plotly\\.js-style-global").count() == 0
    assert seen.errors == []


def test_a_chart_off_the_screen_waits_until_it_is_scrolled_to(seen: Seen, board: RunningBoard) -> None:
    page = seen.page
    page.set_viewport_size({"width": 390, "height": 500})
    for kind, game_id, data in night():
        board.add(kind, game_id, data)
    page.goto(board.url)
    expect(page.locator(".card")).to_have_count(8)
    expect(page.locator(".card").first.locator(trace("path"))).to_have_count(1)
    last = page.locator(".card").last
    assert last.locator(".scatterlayer").count() == 0
    last.scroll_into_view_if_needed()
    expect(last.locator(trace("path"))).to_have_count(1)
    assert seen.errors == []


def test_without_plotly_the_page_still_says_everything_in_words(seen: Seen, board: RunningBoard) -> None:
    page = seen.page
    page.route("**/plotly/*", lambda route: route.abort())
    board.add("score", GAME, score())
    board.add("forecast", GAME, forecast())
    page.goto(board.url)
    shown = page.locator(card(seen))
    expect(shown.locator(".chart").first).to_have_attribute(
        "data-trouble", "The chart cannot be drawn just now. Reload the page."
    )
    expect(shown.locator(".values")).to_contain_text("BOS +5.2")
    expect(shown.locator(".chart").first).to_have_attribute("aria-label", re.compile("interval PHX"))


def test_charts_take_the_colours_of_a_theme_that_changes(seen: Seen, board: RunningBoard) -> None:
    page = seen.page
    page.emulate_media(color_scheme="light")
    board.add("score", GAME, score())
    board.add("pattern", GAME, {"minute": 3, "margins": [1, 2, 4]})
    page.goto(board.url)
    path = page.locator(trace("path") + " .js-line")
    expect(path).to_have_css("stroke", "rgb(25, 28, 32)")
    page.emulate_media(color_scheme="dark")
    expect(path).to_have_css("stroke", "rgb(238, 240, 242)")


def test_many_events_of_a_card_become_few_drawings(seen: Seen, board: RunningBoard) -> None:
    page = seen.page
    board.add("score", GAME, score())
    board.add("pattern", GAME, {"minute": 1, "margins": [2]})
    page.goto(board.url)
    expect(page.locator(card(seen)).locator(trace("path"))).to_have_count(1)
    page.evaluate("""() => {
        const react = Plotly.react;
        window.drawn = 0;
        Plotly.react = (...all) => { window.drawn += 1; return react(...all); };
    }""")
    margins = [(7 * minute) % 5 for minute in range(1, 19)]
    for minute in range(1, 19):
        board.add("pattern", GAME, {"minute": minute, "margins": margins[:minute]})
        board.add("score", GAME, score(home_score=44 + minute))
    board.add("forecast", GAME, forecast())
    expect(page.locator(card(seen)).locator(trace("point"))).to_have_count(1)
    expect(page.locator(card(seen) + " .teams")).to_contain_text("62")
    assert page.evaluate("window.drawn") <= 10


def test_a_live_game_not_heard_of_for_long_is_not_called_live(seen: Seen, board: RunningBoard) -> None:
    now = datetime.now(UTC)
    board.add("score", GAME, score(status_text="Q4 1:06", period=4), now - timedelta(minutes=31))
    board.add("score", "0022200761", score("MEM", "ORL"), now - timedelta(minutes=20))
    page = seen.page
    page.goto(board.url)
    expect(page.locator(card(seen) + " .clock")).to_have_text("last seen Q4 1:06")
    expect(page.locator(card(seen, "0022200761") + " .clock")).to_have_text("Q2 6:00")
    expect(page.locator("#t-games-note")).to_have_text("1 live · 0 final · 1 left before the end")
    board.add("score", GAME, score(status_text="Q4 0:58", period=4), now)
    expect(page.locator(card(seen) + " .clock")).to_have_text("Q4 0:58")
    expect(page.locator("#t-games-note")).to_have_text("2 live · 0 final")


def test_an_earlier_night_can_be_looked_at(seen: Seen, board: RunningBoard) -> None:
    board.add("score", GAME, score())
    until(lambda: board.live.nights.league_date)
    board.store.by_date["2023-02-03"] = board.live.nights.games()
    seen.page.goto(f"{board.url}/?date=2023-02-03")
    expect(seen.page.locator(card(seen))).to_be_visible()
    expect(seen.page.locator("#connection")).to_have_text("past night")
    expect(seen.page.locator("#nights")).to_have_value("2023-02-03")
    assert seen.errors == []
