"""The board over HTTP: reads, probes, counters, and the headers that keep a page harmless."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers

from services.board_game import Game, Score
from services.board_plotly import PlotlyMissingError, PlotlyScript
from services.board_reports import list_page, report_page
from services.board_security import CONTENT_SECURITY_POLICY, origin_allowed
from tests.support.board_night import MemoryStore, score
from tests.support.board_running import RunningBoard, running_board
from tests.support.waiting import until

REPORT = {
    "id": 4,
    "kind": "night",
    "league_date": "2023-02-03",
    "model_version": "3",
    "created_at": "2023-02-04T06:00:00+00:00",
    "body": {"mae": 4.123456, "games": [{"home": "BOS", "covered": True}], "note": "<script>alert(1)</script>"},
}


@pytest.fixture(scope="module")
def board() -> Iterator[RunningBoard]:
    store = MemoryStore()
    store.by_date["2023-02-01"] = [
        Game(
            "0022200740",
            score=Score("2023-02-01", "DEN", "GSW", "final", "Final", 4, None, 110, 101, 2880.0, "recorded"),
        )
    ]
    store.kept_reports[4] = REPORT
    with running_board(store=store) as running:
        running.add("score", "0022200760", score())
        until(lambda: running.live.nights.league_date)
        yield running


def get(board: RunningBoard, path: str) -> httpx.Response:
    return httpx.get(board.url + path, timeout=10)


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/games", "/reports", "/livez", "/nothing-here"])
def test_every_answer_carries_the_security_headers(board: RunningBoard, path: str) -> None:
    headers = get(board, path).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_the_policy_allows_no_inline_script_and_of_inline_styles_only_two_by_digest() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules["script-src"] == "'self'"
    assert re.fullmatch(r"'self'( 'sha256-[\w+/]+=*'){2}", rules["style-src"])
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY


def test_the_page_has_no_inline_script_style_or_foreign_address(board: RunningBoard) -> None:
    page = get(board, "/").text
    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == page.count('<script type="module" src="/static/')
    assert "http://" not in page
    assert "https://" not in page


def test_every_file_the_page_names_is_served(board: RunningBoard) -> None:
    for name in ("app.js", "card.js", "chart.js", "connection.js", "drawing.js", "format.js", "night.js", "style.css",
                 "icon.svg"):  # fmt: skip
        answer = get(board, f"/static/{name}")
        assert answer.status_code == 200, name
        assert "innerHTML" not in answer.text
        assert answer.headers["cache-control"] == "no-cache"


def test_plotly_is_the_wheels_own_kept_for_a_year_under_a_name_that_changes_with_it(board: RunningBoard) -> None:
    found = re.search(r'<meta name="plotly" content="(/plotly/plotly-[0-9a-f]{16}\.min\.js)">', get(board, "/").text)
    assert found is not None
    answer = get(board, found[1])
    wheel = Path(str(distribution("plotly").locate_file("plotly/package_data/plotly.min.js"))).read_bytes()
    assert answer.content == wheel
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    plain = httpx.get(board.url + found[1], headers={"accept-encoding": "identity"})
    assert plain.content == wheel
    assert "content-encoding" not in plain.headers
    assert plain.headers["etag"] != answer.headers["etag"]
    for etag in (answer.headers["etag"], f'"other", W/{answer.headers["etag"]}'):
        known = httpx.get(board.url + found[1], headers={"if-none-match": etag})
        assert (known.status_code, known.content) == (304, b"")
        assert known.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("name", ["plotly-0123456789abcdef.min.js", "plotly.min.js", "..%2fboard.py"])
def test_another_release_of_plotly_is_not_here(board: RunningBoard, name: str) -> None:
    assert get(board, f"/plotly/{name}").status_code == 404


def test_a_missing_plotly_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(PlotlyMissingError, match=r"install requirements\.lock"):
        PlotlyScript(tmp_path / "plotly.min.js")


@pytest.mark.parametrize("path", ["/static/../board.py", "/static/%2e%2e/board.py", "/static/..%2fsettings.py"])
def test_nothing_outside_the_pages_folder_is_served(board: RunningBoard, path: str) -> None:
    assert get(board, path).status_code == 404


def test_the_night_that_is_on_is_served_as_json(board: RunningBoard) -> None:
    body = get(board, "/api/games").json()
    assert body["league_date"] == "2023-02-03"
    assert body["totals"]["games"] == 1
    assert body["games"][0]["score"]["home"] == "BOS"
    assert body["last_id"] == board.live.hub.newest


def test_an_earlier_night_comes_from_the_store(board: RunningBoard) -> None:
    body = get(board, "/api/games?date=2023-02-01").json()
    assert [game["game_id"] for game in body["games"]] == ["0022200740"]
    assert get(board, "/api/games?date=2001-01-01").json()["games"] == []
    assert get(board, "/api/nights").json() == {"nights": ["2023-02-01"]}


@pytest.mark.parametrize("date", ["yesterday", "2023-2-3", "2023-13-01", "20230203", "' OR 1=1", "2023-02-03T00:00"])
def test_a_date_of_another_form_gets_400_and_the_right_form(board: RunningBoard, date: str) -> None:
    answer = httpx.get(board.url + "/api/games", params={"date": date})
    assert answer.status_code == 400
    assert "2023-02-03" in answer.json()["error"]


def test_reports_are_listed_and_shown_with_everything_escaped(board: RunningBoard) -> None:
    assert "/reports/4" in get(board, "/reports").text
    shown = get(board, "/reports/4")
    assert shown.status_code == 200
    assert "4.123" in shown.text
    assert "<script>" not in shown.text
    assert "&lt;script&gt;" in shown.text
    assert get(board, "/api/reports/4").json()["body"]["mae"] == 4.123456


def test_a_report_that_is_not_there_is_404(board: RunningBoard) -> None:
    assert get(board, "/reports/99").status_code == 404
    assert get(board, "/reports/x").status_code == 404
    assert get(board, "/api/reports/99").status_code == 404


def test_without_reports_the_list_says_how_to_get_one() -> None:
    assert "make night" in list_page([])


def test_a_report_of_any_shape_is_rendered() -> None:
    body = {"metrics": [{"id": "a", "value": {"count": 3.0}}, {"id": "b"}], "empty": [], "nothing": None,
            "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}, "mixed": [1, {"a": 2}], "names": ["x", "y"],
            "rows": [{"n": n} for n in range(600)]}  # fmt: skip
    page = report_page(REPORT | {"kind": "evidently", "body": body})
    assert "100 more rows" in page
    assert "x, y" in page
    assert page.count("<table") == page.count("</table>")
    assert report_page(REPORT | {"body": []})


def test_a_report_shows_what_is_asked_first_and_leaves_plots_to_the_json() -> None:
    body = {"n": 50, "drift": [{"column": "lead"}], "flags": ["lead has moved"], "snapshot": {"widgets": ["plotly"]}}
    page = report_page(REPORT | {"kind": "evidently-season", "body": body})
    assert "plotly" not in page
    assert page.index("lead has moved") < page.index("<h3>drift")


def test_evidently_s_page_is_linked_where_there_is_one_and_somebody_serves_it() -> None:
    at, link = 'https://reports.example.org/"x', 'href="https://reports.example.org/&quot;x/html/4"'
    assert link in list_page([REPORT | {"has_page": True}], at)
    assert "/html/" not in list_page([REPORT | {"has_page": False}, REPORT | {"has_page": None}], at)
    assert "/html/" not in list_page([REPORT | {"has_page": True}])
    with_snapshot = REPORT | {"body": {"snapshot": {"widgets": []}}}
    assert link in report_page(with_snapshot, at)
    assert "/html/" not in report_page(with_snapshot)
    without: tuple[object, ...] = ({"snapshot": None, "message": "not enough games (n=3)"}, {}, [])
    for body in without:
        assert "/html/" not in report_page(REPORT | {"body": body}, at)


def test_with_the_database_away_the_live_board_goes_on(board: RunningBoard) -> None:
    board.store.down = True
    try:
        assert get(board, "/api/games").status_code == 200
        assert get(board, "/api/games?date=2023-02-01").status_code == 503
        assert get(board, "/reports").status_code == 503
        assert get(board, "/readyz").json() == {
            "status": "ready", "state": "read", "stream": "up", "database": "down",
        }  # fmt: skip
    finally:
        board.store.down = False


def test_readiness_follows_the_stream_and_liveness_does_not(board: RunningBoard) -> None:
    until(lambda: get(board, "/readyz").status_code == 200)
    board.stream.down = True
    until(lambda: get(board, "/readyz").status_code == 503)
    assert get(board, "/readyz").json()["stream"] == "down"
    assert get(board, "/livez").status_code == 200
    assert get(board, "/api/games").json()["totals"]["games"] == 1
    board.stream.down = False
    until(lambda: get(board, "/readyz").status_code == 200)


def test_metrics_name_clients_messages_and_drops(board: RunningBoard) -> None:
    text = get(board, "/metrics").text
    for name in (
        "halftime_board_clients ", "halftime_board_messages_sent_total ", "halftime_board_clients_dropped_total ",
        "halftime_board_events_refused_total ", "halftime_board_stream_up 1.0", "halftime_broadcast_lag_seconds_count ",
    ):  # fmt: skip
        assert name in text


def test_an_event_that_cannot_be_read_is_counted_and_skipped(board: RunningBoard) -> None:
    before = board.live.refused
    board.add("score", "0022200761", {"home": 1})
    board.add("score", "0022200762", score("MEM", "ORL"))
    until(lambda: get(board, "/api/games").json()["totals"]["games"] == 2)
    assert board.live.refused == before + 1


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://board.example:8000", True),
        ("https://board.example:8000", True),
        ("https://partner.example", True),
        ("http://board.example", False),
        ("http://board.example:8000.evil.example", False),
        ("https://evil.example", False),
        ("null", False),
        ("", False),
        ("file://", False),
    ],
)
def test_only_this_host_and_listed_origins_may_open_the_socket(origin: str | None, allowed: bool) -> None:
    headers = {"host": "board.example:8000"} | ({} if origin is None else {"origin": origin})
    assert origin_allowed(Headers(headers), ["https://partner.example"]) is allowed
