"""A prediction is computed again by the very model that made it, wherever that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bentos.answering import ServedModel, answer, code_version
from bentos.contracts import PredictRequest, identify, prediction_row
from flows import wiring
from flows.reproduce import NoSuchPrediction, reproduce_prediction
from models import fallback
from models.bundle import write_bundle
from services.registry import Registry
from services.registry_http import RegistryUnavailable, Version
from services.settings import Settings
from services.store import PredictionRow
from tests.support.rows import NOON
from tests.support.small_model import small_ensemble


class OneRow:
    """A store with one prediction."""

    def __init__(self, row: PredictionRow) -> None:
        self.row = row

    def prediction(self, _: object) -> PredictionRow:
        return self.row


def predicted(version: str, digest: str) -> PredictionRow:
    request = PredictRequest(pattern=[float(minute % 5) for minute in range(18)], alpha=0.1, request_id="r:1")
    request_id, prediction_id = identify(request, None)
    model = ServedModel(version, digest, small_ensemble(), "test")
    given = answer(model, request, request_id=request_id, prediction_id=prediction_id, now=NOON)
    return PredictionRow.from_json(prediction_row(request, given))


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "bundle"
    return folder, write_bundle(small_ensemble(), folder, {"code_version": "test"})


def put(monkeypatch: pytest.MonkeyPatch, row: PredictionRow) -> None:
    @contextmanager
    def store(_: Settings) -> Iterator[OneRow]:
        yield OneRow(row)

    monkeypatch.setattr(wiring, "store", store)


def away(monkeypatch: pytest.MonkeyPatch, versions: list[Version] | None = None) -> None:
    def answer_versions(_: object) -> list[Version]:
        if versions is None:
            raise RegistryUnavailable("MLflow is away")
        return versions

    monkeypatch.setattr("services.registry_http.MlflowHttp.versions", answer_versions)


def test_a_prediction_by_a_bundle_folder_needs_no_registry(
    monkeypatch: pytest.MonkeyPatch, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    folder, digest = bundle
    row = predicted(f"folder-{digest[:12]}", digest)
    put(monkeypatch, row)
    away(monkeypatch)
    found = reproduce_prediction(Settings(home=tmp_path, bundle=folder), str(row.id))
    assert found.equal


def test_a_model_kept_on_this_machine_is_found_by_its_digest_whatever_is_champion_now(
    monkeypatch: pytest.MonkeyPatch, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    folder, digest = bundle
    (tmp_path / "models").mkdir()
    folder.rename(tmp_path / "models" / digest)
    row = predicted("7", digest)
    put(monkeypatch, row)
    away(monkeypatch)
    assert reproduce_prediction(Settings(home=tmp_path), str(row.id)).equal


def test_a_version_number_of_another_model_is_never_taken_for_it(
    monkeypatch: pytest.MonkeyPatch, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    _, digest = bundle
    row = predicted("1", digest)
    put(monkeypatch, row)
    away(monkeypatch, [Version("halftime", "1", "e" * 64, "run", "mlflow-artifacts:/1")])
    with pytest.raises(NoSuchPrediction, match="HALFTIME_BUNDLE"):
        reproduce_prediction(Settings(home=tmp_path), str(row.id))


def test_a_registry_that_is_away_is_said(
    monkeypatch: pytest.MonkeyPatch, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    row = predicted("1", bundle[1])
    put(monkeypatch, row)
    away(monkeypatch)
    with pytest.raises(RegistryUnavailable):
        reproduce_prediction(Settings(home=tmp_path), str(row.id))


def test_what_is_no_digest_is_never_looked_for(tmp_path: Path) -> None:
    registry = Registry("http://127.0.0.1:1", "halftime", tmp_path)
    with pytest.raises(LookupError, match="64 hex digits"):
        registry.fetch_digest("../../etc/passwd")


def test_a_row_that_was_changed_is_not_equal(
    monkeypatch: pytest.MonkeyPatch, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    folder, digest = bundle
    row = predicted("1", digest)
    put(monkeypatch, replace(row, point=row.point + 1e-9))
    assert not reproduce_prediction(Settings(home=tmp_path, bundle=folder), str(row.id)).equal


def test_code_that_is_not_that_of_then_is_said_whether_the_bits_are_the_same_or_not(
    monkeypatch: pytest.MonkeyPatch, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    folder, digest = bundle
    row = replace(predicted(f"folder-{digest[:12]}", digest), code_version="0123456789ab")
    for made, equal in ((row, True), (replace(row, point=row.point + 0.25), False)):
        put(monkeypatch, made)
        found = reproduce_prediction(Settings(home=tmp_path, bundle=folder), str(row.id))
        assert found.equal is equal
        assert "0123456789ab" in found.line()
        assert found.to_json()["code_version_now"] == code_version()


def test_what_the_fallback_said_can_be_computed_again_without_any_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    request = PredictRequest(pattern=[float(minute % 5) for minute in range(18)], request_id="r:1")
    request_id, prediction_id = identify(request, None)
    model = ServedModel(fallback.VERSION, fallback.digest(), fallback.fallback(), "nothing")
    given = answer(model, request, request_id=request_id, prediction_id=prediction_id, now=NOON)
    row = PredictionRow.from_json(prediction_row(request, given))
    put(monkeypatch, row)
    away(monkeypatch)
    assert reproduce_prediction(Settings(home=tmp_path), str(row.id)).equal
