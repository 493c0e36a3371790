import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.telemetry import configure_logging, mask_secrets


@pytest.fixture
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("INFO")
    configure_logging("INFO")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging")
def test_every_event_is_one_line_of_json_whatever_its_values_hold(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "0022200001\n2026-01-01 ERROR forged\x1b[31m\u2028"
    configure_logging()
    structlog.get_logger("test").info("forecast", game_id=hostile, point=float("nan"), deep={"x": [float("inf")]})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert event["game_id"] == hostile
    assert event["point"] is None
    assert event["deep"] == {"x": [None]}


@pytest.mark.usefixtures("_logging")
def test_the_standard_librarys_loggers_speak_the_same_form_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    logging.getLogger("plain").warning("to %s", "postgresql+psycopg2://halftime:s3cret@127.0.0.1/halftime")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "s3cret" not in lines[0]
    assert json.loads(lines[0])["level"] == "warning"


def test_passwords_in_urls_are_masked() -> None:
    assert mask_secrets("x redis://:pw@h:1/0 y") == "x redis://:***@h:1/0 y"


def test_a_password_is_masked_whole_whatever_it_holds() -> None:
    for password in ("secret", "se@cret", "se/cret", "se:cret", "s@e@cret"):
        masked = mask_secrets(f"cannot reach postgresql+psycopg2://halftime:{password}@db:5432/halftime now")
        assert masked == "cannot reach postgresql+psycopg2://halftime:***@db:5432/halftime now"
    assert mask_secrets("http://127.0.0.1:8080/docs and a@b.c") == "http://127.0.0.1:8080/docs and a@b.c"
