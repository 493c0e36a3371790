"""Who may ask the forecaster as it is run, and what a crowd gets."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bentos.guard import MAX_WAITING
from services.client import ForecasterClient, ForecasterRefused
from services.settings import ROOT
from services.store import Store
from tests.support.rows import game_row
from tests.support.running_forecaster import NO_DATABASE, PATTERN, RunningForecaster, running_forecaster, small_bundle
from tests.support.servers import PostgresServer, free_port, temporary_folder

KEY = "a-key-of-this-test-0123456789"
NEXT = "the-next-key-of-this-test-0123"
OUTCOME = {"game_id": "0022200781", "actual_differential": 7}


@pytest.fixture(scope="module")
def shared_database(postgres_server: PostgresServer) -> str:
    return postgres_server.emptied()


@pytest.fixture(scope="module")
def forecaster(shared_database: str) -> Iterator[RunningForecaster]:
    """One worker that asks for one of two keys and is also known as forecaster.example."""
    with temporary_folder("guarded") as home:
        (home / "key").write_text(f"{KEY}\n\n{NEXT}\n")
        bundle = small_bundle(home / "bundle")
        with running_forecaster(
            home / "data", bundle, database_url=shared_database, HALFTIME_API_KEY_FILE=str(home / "key"),
            HALFTIME_ALLOWED_HOSTS='["forecaster.example"]', HALFTIME_LOG_LEVEL="DEBUG",
        ) as running:  # fmt: skip
            yield running


def test_outcomes_and_figures_need_the_key_and_predictions_do_not(
    forecaster: RunningForecaster, shared_database: str
) -> None:
    with Store.open(shared_database) as store:
        store.upsert_games([game_row()])
    for path in ("/record_actual", "/record%5Factual", "/record_actual/", "/%2Frecord_actual"):
        assert forecaster.http.post(path, json=OUTCOME).status_code in (401, 404, 307), path
    assert forecaster.http.get("/metrics/summary").status_code == 401
    with Store.open(shared_database) as store:
        assert store.latest_actual("0022200781") is None
    with ForecasterClient(str(forecaster.http.base_url)) as nobody, pytest.raises(ForecasterRefused, match="401"):
        nobody.record_actual("0022200781", 7)
    with ForecasterClient(str(forecaster.http.base_url), api_key=KEY) as trusted:
        assert trusted.record_actual("0022200781", 7).status == "settled"
        assert trusted.summary()["n_predictions"] == 0
    assert forecaster.predict().status_code == 200
    assert KEY not in forecaster.log.read_text()


def test_each_key_of_the_file_is_good_and_the_client_sends_the_first(forecaster: RunningForecaster) -> None:
    url = str(forecaster.http.base_url)
    for text in (KEY, NEXT, (forecaster.home.parent / "key").read_text(), f"{NEXT}\nnot-a-key-of-the-forecaster\n"):
        with ForecasterClient(url, api_key=text) as caller:
            assert "n_predictions" in caller.summary()
    for text in (f"not-a-key-of-the-forecaster\n{NEXT}\n", f"{KEY}{NEXT}"):
        with ForecasterClient(url, api_key=text) as caller, pytest.raises(ForecasterRefused, match="401"):
            caller.summary()
    assert forecaster.http.get("/metrics/summary", headers={"Authorization": f"Bearer {KEY} {NEXT}"}).status_code == 401
    log = forecaster.log.read_text()
    assert KEY not in log
    assert NEXT not in log


def test_a_name_it_is_not_known_by_is_misdirected(forecaster: RunningForecaster) -> None:
    port = forecaster.http.base_url.port
    for host, status in (
        ("attacker.example", 421), (f"127.0.0.1.attacker.example:{port}", 421), (f"localhost:{port}", 200),
        ("forecaster.example", 200),
    ):  # fmt: skip
        assert forecaster.http.get("/model", headers={"Host": host}).status_code == status, host
    answered = forecaster.predict(headers={"Host": "attacker.example"})
    assert answered.status_code == 421
    assert "HALFTIME_ALLOWED_HOSTS" in answered.json()["error"]


def test_no_other_origin_may_read_or_send(forecaster: RunningForecaster) -> None:
    origin = {"Origin": "https://attacker.example"}
    preflight = forecaster.http.options("/predict", headers=origin | {"Access-Control-Request-Method": "POST"})
    answers = (preflight, forecaster.predict(headers=origin), forecaster.http.get("/model", headers=origin))
    assert not preflight.is_success
    for answered in answers:
        assert [name for name in answered.headers if name.startswith("access-control")] == []


def test_a_crowd_gets_answers_or_is_asked_to_come_back(forecaster: RunningForecaster) -> None:
    crowd = 3 * MAX_WAITING
    limits = httpx.Limits(max_connections=crowd)
    with (
        httpx.Client(base_url=forecaster.http.base_url, limits=limits, timeout=30) as http,
        ThreadPoolExecutor(crowd) as pool,
    ):
        answers = list(pool.map(lambda _: http.post("/predict", json={"pattern": PATTERN}), range(2 * crowd)))
    told = Counter(answer.status_code for answer in answers)
    assert told.keys() <= {200, 503}
    assert told[200] > 0
    for answer in answers:
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1"
    assert forecaster.predict().status_code == 200


def not_started(home: Path, **settings: str) -> str:
    """What a forecaster says that does not start."""
    env = {
        "HALFTIME_HOME": str(home), "DATABASE_URL": NO_DATABASE, "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True", "PATH": "/usr/bin:/bin",
    } | settings  # fmt: skip
    command = [sys.executable, "-m", "bentoml", "serve", "bentos.forecaster:Forecaster", "--port", str(free_port())]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_on_another_address_than_loopback_it_does_not_start_without_a_key(tmp_path: Path) -> None:
    told = not_started(tmp_path, HALFTIME_HOST="0.0.0.0")
    assert "HALFTIME_HOST=0.0.0.0 lets other machines in" in told


def test_with_a_bad_line_in_its_file_of_keys_it_does_not_start_and_repeats_none(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\nshort-word\n{NEXT}\n")
    told = not_started(tmp_path, HALFTIME_HOST="0.0.0.0", HALFTIME_API_KEY_FILE=str(tmp_path / "key"))
    assert "line 2 of HALFTIME_API_KEY_FILE=" in told
    for word in (KEY, NEXT, "short-word"):
        assert word not in told
