"""The forecaster as it is run: ``bentoml serve``, two workers, a real database, and what goes wrong around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench_predict import load
from benchmarks.open_loop import crowd, post
from bentos.reproduce import reproduce
from models.bundle import load_bundle
from services.client import ForecasterClient, ForecasterRefused
from services.store import PredictionRow, Store
from tests.support.rows import forecast_row, game_row
from tests.support.running_forecaster import PATTERN, RunningForecaster, running_forecaster, small_bundle
from tests.support.servers import PostgresServer, temporary_folder
from tests.support.waiting import until

GAME = "0022290001"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture(scope="module")
def shared_database(postgres_server: PostgresServer) -> str:
    return postgres_server.emptied()


@pytest.fixture(scope="module")
def forecaster(bundle: Path, shared_database: str) -> Iterator[RunningForecaster]:
    """Two workers on a real database, shared by the tests that leave it standing."""
    with (
        temporary_folder("forecaster") as home,
        running_forecaster(home, bundle, database_url=shared_database, workers=2) as running,
    ):
        yield running


@pytest.fixture
def rows(shared_database: str) -> Iterator[Store]:
    with Store.open(shared_database) as opened:
        yield opened


def stored(store: Store, prediction_id: str) -> PredictionRow:
    until(lambda: store.prediction(prediction_id) is not None)
    row = store.prediction(prediction_id)
    assert row is not None
    return row


def test_prediction_has_every_field_and_keeps_its_promises(forecaster: RunningForecaster) -> None:
    answer = forecaster.predict(game_id=GAME, home="BOS", away="NYK")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {
        "game_id", "point_forecast", "interval_lower", "interval_upper", "coverage_probability", "explanation",
        "model_version", "timestamp", "prediction_id", "request_id", "minute", "model_digest", "calibration_id",
        "alpha", "context", "code_version", "logged", "distribution",
    }  # fmt: skip
    assert body["interval_lower"] <= body["point_forecast"] <= body["interval_upper"]
    assert body["coverage_probability"] == 0.95
    assert body["minute"] == 18
    assert body["game_id"] == GAME
    assert body["timestamp"].endswith("Z")
    assert body["logged"] == "spool"
    assert set(body["explanation"]) == {"dejavu", "lstm", "persistence", "possession", "weights", "similar"}
    assert len(body["explanation"]["similar"]) == 5
    for game in body["explanation"]["similar"]:
        assert len(game["path"]) == 25
        assert game["path"][1:19] == game["pattern"]
        assert game["change"] == game["path"][24] - game["path"][18]
    context = body["context"]
    assert (context["home"], context["away"]) == ("BOS", "NYK")
    assert context["ratings_as_of"] == "2022-01-27"
    assert isinstance(context["rating_difference"], float)
    distribution = body["distribution"]
    assert sum(distribution["probabilities"]) == 1.0
    assert distribution["home_leads"] + distribution["tied"] + distribution["away_leads"] == 1.0
    assert [one["level"] for one in distribution["intervals"]] == [0.5, 0.8, 0.9, 0.95]
    assert (distribution["intervals"][-1]["lower"], distribution["intervals"][-1]["upper"]) == (
        body["interval_lower"],
        body["interval_upper"],
    )


def test_a_distribution_can_be_asked_about(forecaster: RunningForecaster) -> None:
    distribution = forecaster.predict(above=[5.5, 0], levels=[0.6]).json()["distribution"]
    assert [one["margin"] for one in distribution["above"]] == [5.5, 0.0]
    assert distribution["above"][1]["probability"] == distribution["home_leads"]
    assert [one["level"] for one in distribution["intervals"]] == [0.5, 0.6, 0.8, 0.9, 0.95]
    refused = forecaster.predict(levels=[0.999])
    assert refused.status_code == 400
    assert refused.json()["detail"][0]["field"] == "levels[0]"
    assert refused.json()["detail"][0]["needed"] == 999


def test_served_prediction_is_a_row_and_computes_again_to_the_same_bits(
    forecaster: RunningForecaster, rows: Store, bundle: Path
) -> None:
    ensemble = load_bundle(bundle)
    asked: list[dict[str, Any]] = [
        {"above": [3.5], "levels": [0.6], "home": "BOS", "away": "NYK", "date": "2022-02-01", "possession": "away"},
        {"home": "BOS", "away": "NYK", "alpha": 0.1},
        {"pattern": [0.5] * 12, "minute": 12},
    ]
    for fields in asked:
        body = forecaster.predict(**fields).json()
        row = stored(rows, body["prediction_id"])
        assert (row.point, row.lower, row.upper) == (
            body["point_forecast"],
            body["interval_lower"],
            body["interval_upper"],
        )
        again = reproduce(row, ensemble)
        assert (again.point, again.lower, again.upper) == (row.point, row.lower, row.upper)
        assert again.distribution.probabilities.tolist() == body["distribution"]["probabilities"]
        assert again.equal
        assert again.distribution_equal
    until(lambda: not list((forecaster.home / "spool").glob("*.jsonl")))


def test_alpha_is_honoured_and_refused_where_the_calibration_set_is_too_small(forecaster: RunningForecaster) -> None:
    widths = {}
    for alpha in (0.5, 0.2, 0.1, 0.05, 0.02):
        body = forecaster.predict(alpha=alpha).json()
        assert body["coverage_probability"] == 1 - alpha
        widths[alpha] = body["interval_upper"] - body["interval_lower"]
    assert sorted(widths.values()) == list(widths.values())
    assert widths[0.5] < widths[0.05]
    refused = forecaster.predict(alpha=0.001)
    assert refused.status_code == 400
    problem = refused.json()["detail"][0]
    assert (problem["field"], problem["n"], problem["needed"]) == ("alpha", 60, 999)
    assert "999" in refused.json()["error"]


def test_minutes_the_model_does_not_serve_are_named(forecaster: RunningForecaster) -> None:
    assert forecaster.predict(pattern=[], minute=0).json()["minute"] == 0
    refused = forecaster.predict(pattern=PATTERN[:7], minute=7)
    assert refused.status_code == 400
    assert "0, 12, 18, 23" in refused.json()["error"]


def test_unknown_team_is_refused_with_the_known_ones(forecaster: RunningForecaster) -> None:
    refused = forecaster.predict(home="BOS", away="XYZ")
    assert refused.status_code == 400
    assert "'XYZ'" in refused.json()["error"]
    assert "BOS, CHI, DEN, LAL, MIA, NYK" in refused.json()["error"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"pattern": [1, 2, 3]}', "application/json", 400),
        (b'{"pattern": [NaN]}', "application/json", 400),
        (b'{"pattern": [1e308]}', "application/json", 400),
        (b'{"pattern": ["1"]}', "application/json", 400),
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 10_000, "application/json", 400),
        (b'{"pattern": [], "pattern": []}', "application/json", 400),
        (b'{"pattern": [' + b"0," * 1_500_000 + b"0]}", "application/json", 413),
        (b"\x80\x04.", "application/vnd.bentoml+pickle", 415),
        (b'{"pattern": []}', "text/plain", 415),
        (b"pattern=1", "application/x-www-form-urlencoded", 415),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/record_actual"])
def test_bad_input_gets_a_sentence_and_never_500(
    forecaster: RunningForecaster, path: str, body: bytes, kind: str, status: int
) -> None:
    answer = forecaster.http.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")
    assert answer.json()["detail"] is not None
    assert "Traceback" not in answer.text


def test_same_key_and_body_answer_the_same_bits_from_both_workers(forecaster: RunningForecaster, rows: Store) -> None:
    headers = {"Idempotency-Key": "night:1"}

    def ask(_: int) -> bytes:
        with ForecasterClient(str(forecaster.http.base_url)) as fresh:  # a new connection: any worker
            return fresh._http.post("/predict", json={"pattern": PATTERN}, headers=headers).content

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(24)))
    assert len(answers) == 1
    body = json.loads(answers.pop())
    assert forecaster.predict(request_id="night:1").json() == body
    assert stored(rows, body["prediction_id"]).request_id == "night:1"
    conflict = forecaster.predict(alpha=0.1, headers=headers)
    assert conflict.status_code == 409
    assert "another body" in conflict.json()["error"]


def test_client_gets_typed_answers_and_refusals(forecaster: RunningForecaster) -> None:
    with ForecasterClient(str(forecaster.http.base_url)) as client:
        assert client.is_ready()
        prediction = client.predict(PATTERN, home="BOS", away="NYK", request_id="typed:1")
        assert client.predict(PATTERN, home="BOS", away="NYK", request_id="typed:1") == prediction
        assert client.model()["version"] == prediction.model_version
        with pytest.raises(ForecasterRefused, match="needs exactly 18") as caught:
            client.predict([1.0, 2.0])
        assert caught.value.detail[0].field == "pattern"
        with pytest.raises(ForecasterRefused) as unknown:
            client.record_actual("0022299999", 3)
        assert unknown.value.status == 404


def test_outcome_settles_the_official_forecast_once(forecaster: RunningForecaster, rows: Store) -> None:
    rows.upsert_games([game_row(GAME, source="simulated", away="NYK")])
    body = forecaster.predict(game_id=GAME, home="BOS", away="NYK", request_id="official:1").json()
    rows.record_forecast(stored(rows, body["prediction_id"]), forecast_row(GAME, persistence=10))
    outcome = {"game_id": GAME, "actual_differential": 12}
    first = forecaster.http.post("/record_actual", json=outcome)
    assert first.status_code == 200
    error = 12 - body["point_forecast"]
    covered = body["interval_lower"] <= 12 <= body["interval_upper"]
    assert first.json() == outcome | {"status": "settled", "settled": 1, "error": error, "covered": covered}
    again = forecaster.http.post("/record_actual", json=outcome)
    assert again.json() == outcome | {"status": "unchanged", "settled": 0, "error": error, "covered": covered}
    conflict = forecaster.http.post("/record_actual", json=outcome | {"actual_differential": 13})
    assert conflict.status_code == 409
    assert "contradicts" in conflict.json()["error"]
    summary = forecaster.http.get("/metrics/summary").json()
    assert summary["n_predictions"] == 1
    assert summary["avg_error"] == pytest.approx(abs(error))
    assert summary["empirical_coverage"] == float(covered)
    (group,) = summary["groups"]
    assert (group["source"], group["minute"], group["nominal_coverage"]) == ("simulated", 18, 0.95)
    assert group["mae_persistence"] == 2.0


def test_outcome_of_an_unknown_game_is_404(forecaster: RunningForecaster) -> None:
    unknown = forecaster.http.post("/record_actual", json={"game_id": "0022299999", "actual_differential": 1})
    assert unknown.status_code == 404
    assert unknown.json()["detail"][0]["field"] == "game_id"


def test_pages_say_what_is_served_without_the_internet(forecaster: RunningForecaster) -> None:
    http = forecaster.http
    model = http.get("/model").json()
    assert model["source"] == "simulated"
    assert model["figures"] == {"mae": 4.9}
    assert model["minutes"] == [0, 12, 18, 23]
    assert model["trained_through"] == "2022-01-27"
    docs = http.get("/docs").text
    assert "http://" not in docs
    assert "https://" not in docs
    assert "googletagmanager" not in http.get("/", follow_redirects=True).text
    assert http.get("/static_content/swagger-ui-bundle.js").status_code == 200
    described = http.get("/openapi.json").json()
    assert {
        "/predict",
        "/record_actual",
        "/metrics/summary",
        "/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/model",
    } <= set(described["paths"])
    for path, methods in described["paths"].items():
        if "get" in methods:
            assert http.get(path).status_code == 200, path
    assert http.get("/health").json()["status"] == "ready"
    assert http.get("/nowhere").json()["error"].startswith("There is nothing")
    assert http.get("/predict").status_code == 405


def test_series_that_rates_are_taken_of_are_there_before_the_first_failure(forecaster: RunningForecaster) -> None:
    text = forecaster.http.get("/metrics").text
    for code in ("500", "503"):
        assert f'halftime_http_requests_total{{code="{code}",method="POST",route="/predict"}} 0.0' in text
        assert f'halftime_http_requests_total{{code="{code}",method="GET",route="/health"}} 0.0' in text
    assert 'halftime_http_request_seconds_bucket{le="0.25",route="/predict"}' in text


def test_metrics_add_up_over_workers_and_labels_stay_few(forecaster: RunningForecaster) -> None:
    def count() -> float:
        lines = forecaster.http.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("halftime_predictions_total{"))

    before = count()

    def ask(_: int) -> int:
        with ForecasterClient(str(forecaster.http.base_url)) as fresh:
            return len(fresh.predict(PATTERN).request_id)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(20)))
    assert count() == before + 20
    for i in range(5):
        forecaster.http.get(f"/scan-{i}")
    forecaster.predict(alpha=7)
    text = forecaster.http.get("/metrics").text
    assert "scan-" not in text
    assert 'halftime_http_requests_total{code="400",method="POST",route="/predict"}' in text
    assert "halftime_http_request_seconds_bucket" in text
    assert "halftime_spool_rows" in text
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("halftime_disk_"))
    assert 0 < float(told["halftime_disk_free_bytes"]) < float(told["halftime_disk_size_bytes"])


def test_what_benchmarks_and_crowds_send_is_answered(forecaster: RunningForecaster) -> None:
    port = forecaster.http.base_url.port
    assert port is not None
    rate, seconds = asyncio.run(load(port, 6, 2))
    assert (rate > 0, len(seconds)) == (True, 6)
    body = json.dumps({"pattern": PATTERN}).encode()
    assert asyncio.run(crowd(port, [post("/predict", body)], 20.0, 0.5, seed=0)).count(200) == 10


def test_workers_carry_no_training_library(forecaster: RunningForecaster) -> None:
    workers = forecaster.workers()
    assert len(workers) == 2
    for worker in workers:
        mapped = {Path(region.path).name for region in worker.memory_maps()}
        for heavy in ("torch", "evidently", "pandas"):
            assert not [name for name in mapped if heavy in name], heavy


def test_log_has_one_json_object_a_line_for_what_the_service_says(forecaster: RunningForecaster) -> None:
    forecaster.http.post("/record_actual", json={"game_id": "0022299999", "actual_differential": 1})
    said = [line for line in forecaster.log.read_text().splitlines() if line.startswith("{")]
    assert all(json.loads(line)["event"] for line in said)
    assert not [line for line in forecaster.log.read_text().splitlines() if "POST /predict" in line]
