"""What services say is shown as it is: it is not markup."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from bentos.answering import ServedModel, answer
from bentos.contracts import PREDICTIONS, PredictRequest
from flows import show
from flows.operate import StackReport
from infra.check import bad, good, warn
from infra.service import Event, State
from tests.support.rows import NOON
from tests.support.small_model import small_ensemble

SAID = "ended with status 1: [/tmp/socket] is [bold]taken"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    text = StringIO()
    monkeypatch.setattr(show, "console", Console(file=text, width=200))
    return text


def test_a_service_may_say_anything(written: StringIO) -> None:
    with show.ProgressWatcher() as watcher:
        watcher.stage("starting")
        watcher.service(Event("redis", State.BACKOFF, SAID, datetime.now(UTC)))
        watcher.share("[/loading]", 0.5)
    assert SAID in written.getvalue()
    assert "[/loading]" in written.getvalue()


def test_status_shows_each_finding_with_what_to_do(written: StringIO) -> None:
    show.console.print(StackReport(None, [bad("redis", SAID, "see [logs]")]).table())
    assert SAID in written.getvalue()
    assert "see [logs]" in written.getvalue()
    assert "make up" in written.getvalue()


def test_the_doctor_says_what_to_do_only_where_something_is_wrong(written: StringIO) -> None:
    show.console.print(
        show.check_table([good("disk", "[much] free"), warn("net", SAID, "wait"), bad("db", "no", "up")])
    )
    lines = [line for line in written.getvalue().splitlines() if "│" in line]
    assert [("ok" in line, "warn" in line, "FAILED" in line) for line in lines] == [
        (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert "[much] free" in lines[0]
    assert SAID in lines[1]
    assert "wait" in lines[1]


def test_a_forecast_is_shown_with_who_leads_and_its_distribution() -> None:
    request = PredictRequest(pattern=[1.0] * 18, home="BOS", away="NYK", above=[5.5, -3], levels=[0.6])
    model = ServedModel("7", "d" * 64, small_ensemble(), "a test")
    given = answer(model, request, request_id="r", prediction_id=PREDICTIONS, now=NOON)
    text = StringIO()
    show.print_prediction(given, show.Console(file=text, width=120))
    said, whole = text.getvalue(), given.distribution
    assert f"margin {given.point_forecast:+.1f}, 95% interval" in said
    leads = f"BOS {whole.home_leads:.1%}, tied {whole.tied:.1%}, NYK {whole.away_leads:.1%}"
    assert f"lead at the half: {leads}" in said
    assert f"margin above 5.5: {whole.above[0].probability:.1%}" in said
    assert f"margin above -3: {whole.above[1].probability:.1%}" in said
    for level in ("2.5%", "97.5%", "50%", "60%", "80%", "90%", "95%"):
        assert f" {level} " in said
    assert str(PREDICTIONS) in said


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.0, "0.0%"), (4e-7, "<0.1%"), (0.001, "0.1%"), (0.71234, "71.2%"), (0.99999, ">99.9%"), (1.0, "100.0%")],
)
def test_what_is_not_certain_is_not_shown_as_certain(probability: float, shown: str) -> None:
    assert show.percent(probability) == shown
