"""Evidently's pages of stored reports and its UI: as their own process, on a real PostgreSQL, in a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.testclient import TestClient

from flows.report import StoredWindow, artifact, nightly_report, span_report
from models.planting import harder
from monitoring.report_server import ReportPages, create_app
from monitoring.reports import SNAPSHOT
from monitoring.workspace import project_id
from services import migrate
from services.board_reads import Reads
from services.board_store import BoardStore
from services.database import make_engine
from services.settings import ROOT, Settings
from services.store import Store
from tests.support.board_night import MemoryStore
from tests.support.board_running import running_board
from tests.support.chromium import chromium, opened
from tests.support.league_played import SEASON, league, load, play
from tests.support.servers import PostgresServer, end, free_port
from tests.support.waiting import until

MODEL = "halftime-simulated"
HOSTILE = "</script><img src=x onerror=alert(1)><script>document.title='taken'</script>"


@dataclass(frozen=True)
class Served:
    """A running server of reports, and what was reported: a week with drift, and a span of too few games."""

    url: str
    settings: Settings
    store: Store
    week: StoredWindow
    few: StoredWindow
    night_id: int

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def settings(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A database of this module's own: what is reported once serves every test."""
    url = postgres_server.new_database()
    migrate.upgrade(url)
    own = {"database_url": url, "home": tmp_path_factory.mktemp("home"), "source": "simulated"}
    return Settings(_env_file=None, evidently_port=free_port(), **own)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def kept(settings: Settings) -> Iterator[Store]:
    opened_store = Store.open(str(settings.database_url))
    yield opened_store
    opened_store.close()


@contextmanager
def report_server(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    env = os.environ | {
        "DATABASE_URL": str(settings.database_url), "HALFTIME_HOME": str(settings.home), "HALFTIME_SOURCE": "simulated",
        "HALFTIME_EVIDENTLY_PORT": str(settings.evidently_port),
    }  # fmt: skip
    with (settings.home / "reports.log").open("ab") as log:
        command = [sys.executable, "-m", "monitoring.report_server"]
        child = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: _answers(settings) or child.poll() is not None, 120.0)
        assert child.poll() is None, (settings.home / "reports.log").read_text()
        yield child
    finally:
        end(child)


def _answers(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.resolved_evidently_url}/api/projects", timeout=20).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def reported(settings: Settings, kept: Store) -> tuple[StoredWindow, StoredWindow, int]:
    games = league()
    load(kept, games[games["season"] < SEASON])
    days = sorted(set(games[games["season"] == SEASON]["date"]))[20:27]
    week = games[games["date"].isin(days)]
    play(kept, harder(week, week["date"].min(), 2.0), model_name=MODEL)
    made = nightly_report(settings)
    assert made.night_id is not None
    return made.windows[0], span_report(settings, date(2020, 1, 1), date(2020, 1, 31)), made.night_id


@pytest.fixture(scope="module")
def served(settings: Settings, kept: Store, reported: tuple[StoredWindow, StoredWindow, int]) -> Iterator[Served]:
    with report_server(settings) as child:
        yield Served(settings.resolved_evidently_url, settings, kept, *reported)
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(20) == 0, "it did not end when told to"
        lines = (settings.home / "reports.log").read_text().splitlines()
        [told] = [line for line in lines if "reports are served" in line]
        assert json.loads(told)["url"] == settings.resolved_evidently_url


def test_a_browser_shows_the_page_of_a_stored_report_and_asks_nobody_else(served: Served, browser: Browser) -> None:
    with opened(browser) as seen:
        assert served.week.page_url == f"{served.url}/html/{served.week.report_id}"
        seen.page.goto(served.week.page_url)
        held = "Coverage: share of intervals that held the outcome"
        for words in ("Mean Absolute Error", held, "Data Drift Summary"):
            expect(seen.page.get_by_text(words).first).to_be_visible()
        expect(seen.page.locator(".main-svg").first).to_be_visible()
        expect(seen.page.get_by_text("Error Distribution", exact=True)).to_have_count(1)
        coverage = f"{served.week.figures['coverage']:.3f}"
        expect(seen.page.get_by_text(coverage, exact=True).first).to_be_visible()
        seen.page.get_by_role("tab", name="Tests").click()
        expect(seen.page.get_by_text(served.week.flags[-1]).first).to_be_visible()
        link = seen.page.get_by_role("link", name="this report on the board")
        expect(link).to_have_attribute("href", served.week.url)
        assert re.match("week: simulated games of", seen.page.title())
        assert seen.hosts == {served.url.removeprefix("http://")}
        assert len(seen.requests) == 1
        assert seen.errors == []


def test_the_page_cannot_reach_the_ui_beside_it_whatever_runs_in_it(served: Served, browser: Browser) -> None:
    with opened(browser) as seen:
        seen.page.goto(f"{served.url}/html/{served.week.report_id}")
        expect(seen.page.get_by_text("Mean Absolute Error").first).to_be_visible()
        assert seen.page.evaluate("self.origin") == "null"
        assert seen.page.evaluate("fetch('/api/projects').then(() => 'reached', () => 'refused')") == "refused"


def test_what_a_report_names_is_shown_and_never_run(served: Served, browser: Browser) -> None:
    body = served.store.report_body(served.week.report_id)
    assert body is not None
    hostile = body[SNAPSHOT] | {"widgets": [one | {"title": HOSTILE} for one in body[SNAPSHOT]["widgets"]]}
    named = served.store.record_report("evidently", date(2023, 1, 1), body | {"window": HOSTILE}, "3",
                                       beside={SNAPSHOT: hostile})  # fmt: skip
    with opened(browser) as seen:
        seen.page.goto(f"{served.url}/html/{named}")
        expect(seen.page.get_by_text(HOSTILE).nth(1)).to_be_visible()
        assert seen.page.title().startswith(HOSTILE)
        assert seen.page.locator("img[src=x]").count() == 0
        assert seen.errors == []


def test_the_ui_lists_the_same_snapshot_and_draws_it_from_this_host_alone(served: Served, browser: Browser) -> None:
    project = project_id("simulated", "week")
    with opened(browser) as seen:
        served.get(f"/html/{served.week.report_id}")
        seen.page.goto(served.url)
        expect(seen.page.get_by_text("Halftime, simulated games: week")).to_be_visible()
        seen.page.goto(f"{served.url}/projects/{project}/reports")
        expect(seen.page.get_by_role("link", name="View").first).to_be_visible()
        seen.page.get_by_role("link", name="View").first.click()
        expect(seen.page.get_by_text("Coverage: share of intervals that held the outcome").first).to_be_visible()
        assert seen.hosts == {served.url.removeprefix("http://")}
        assert seen.errors == []


def test_a_page_is_not_sent_again_to_who_has_it(served: Served) -> None:
    first = served.get(f"/html/{served.week.report_id}")
    assert first.status_code == 200
    again = served.get(f"/html/{served.week.report_id}", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    headers = first.headers
    assert "sandbox allow-scripts" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_a_name_that_a_foreign_page_chose_reaches_neither_ui_nor_page(served: Served) -> None:
    for path in ("/api/projects", f"/html/{served.week.report_id}"):
        assert served.get(path, host="evil.example.org").status_code == 421


def test_where_there_is_no_page_a_sentence_says_why_and_leads_back(served: Served) -> None:
    few, night = served.get(f"/html/{served.few.report_id}"), served.get(f"/html/{served.night_id}")
    assert "not enough games (n=0): a report needs 5" in few.text
    assert f'href="{served.few.url}"' in few.text
    assert "a report of kind night has no page" in night.text
    assert "There is no report 99999." in served.get("/html/99999").text
    bad = ("abc", "-1", "0", "1.5", "9" * 19, "9" * 400, "²", "<script>")
    for one in (few, night, served.get("/html/99999"), *(served.get(f"/html/{name}") for name in bad)):
        assert one.status_code == 404
        assert served.settings.board_url + "/reports" in one.text
        assert "<script" not in one.text
    assert "write it as /html/7" in served.get("/html/abc").text


def asked(pages: ReportPages, report_id: int) -> httpx.Response:
    answer: httpx.Response = TestClient(create_app(pages, Starlette()), base_url="http://127.0.0.1").get(
        f"/html/{report_id}"
    )
    return answer


@pytest.mark.parametrize("way", ["down", "frozen"])
def test_while_the_database_is_away_the_answer_is_503_with_a_way_back(
    kept: Store, settings: Settings, tmp_path: Path, way: str
) -> None:
    nowhere = f"postgresql+psycopg2://nobody:nothing@127.0.0.1:{free_port()}/halftime"
    engine = make_engine(nowhere if way == "down" else str(settings.database_url))
    pages = ReportPages(engine, "http://board", Reads(limit_s=1.0))
    with kept.engine.connect() as holder, holder.begin():
        holder.execute(text("LOCK TABLE reports IN ACCESS EXCLUSIVE MODE"))
        answer = asked(pages, 7)
    assert answer.status_code == 503
    assert "The database cannot be read just now" in answer.text
    assert "http://board/reports/7" in answer.text
    assert "nobody" not in answer.text
    engine.dispose()


def test_a_snapshot_of_another_evidently_says_so(kept: Store, tmp_path: Path) -> None:
    body = {"window": "week", "message": "50 settled games", "model_version": "3"}
    made = kept.record_report("evidently", date(2023, 1, 1), body, "3", beside={SNAPSHOT: {"of": "2019"}})
    assert made is not None
    pages = ReportPages(kept.engine, "http://board", Reads())
    answer = asked(pages, made)
    assert answer.status_code == 500
    assert "was made by another version" in answer.text


def test_the_board_links_the_page_of_each_report_that_has_one(
    kept: Store, reported: tuple[StoredWindow, StoredWindow, int]
) -> None:
    week, few, night_id = reported
    found, memory = BoardStore(kept.engine), MemoryStore()
    rows = found.reports()
    assert {row["id"] for row in rows if row["has_page"]} >= {week.report_id}
    assert not {row["id"] for row in rows if row["has_page"]} & {few.report_id, night_id}
    for row in rows:
        memory.kept_reports[row["id"]] = row | (found.report(row["id"]) or {})
    with running_board(store=memory, evidently_url="https://reports.example.org") as board:
        listed = httpx.get(f"{board.url}/reports").text
        for one, linked in ((week.report_id, True), (few.report_id, False), (night_id, False)):
            link = f'href="https://reports.example.org/html/{one}"'
            assert (link in listed) is linked
            assert (link in httpx.get(f"{board.url}/reports/{one}").text) is linked


def test_prefect_s_artifact_has_the_page_where_there_is_one(
    settings: Settings, reported: tuple[StoredWindow, StoredWindow, int]
) -> None:
    week, few, _ = reported
    assert f"[Evidently's page of it]({settings.resolved_evidently_url}/html/{week.report_id})" in artifact(week)
    assert week.to_json()["page_url"] == week.page_url
    assert few.page_url is None
    assert "Evidently's page" not in artifact(few)
