import io
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import models.bundle as bundle_module
from models.bundle import (
    BadArray,
    BadManifest,
    BundleError,
    BundleExists,
    DigestMismatch,
    GoldenMismatch,
    GoldenTolerance,
    MissingFile,
    TooLarge,
    UnknownFormat,
    load_bundle,
    read_manifest,
    write_bundle,
)
from models.bundle_format import MANIFEST, canonical_json, sha256
from models.bundle_parts import ARRAYS
from tests.unit.models.builders import make_ensemble

ENSEMBLE = make_ensemble(minutes=(0, 18))
EXTRA = {"code_version": "test", "figures": {"rmse": 5.99}}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("bundles") / "one"
    return folder, write_bundle(ENSEMBLE, folder, EXTRA)


@pytest.fixture
def copy(written: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written[0], tmp_path / "copy"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and write it as this format would: what an attacker who can hash would do."""
    body = json.loads((folder / MANIFEST).read_bytes())
    change(body)
    (folder / MANIFEST).write_bytes(canonical_json(body))


def replace_array(folder: Path, name: str, content: bytes) -> None:
    (folder / f"{name}.npy").write_bytes(content)
    edit(folder, lambda body: body["arrays"][name].update(sha256=sha256(content), bytes=len(content)))


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def test_a_loaded_bundle_answers_with_the_same_bits(written: tuple[Path, str]) -> None:
    folder, digest = written
    with warnings.catch_warnings():
        warnings.simplefilter("error", GoldenTolerance)
        loaded = load_bundle(folder, digest)
    for rating in (None, 3.25):
        pattern = [float(value % 9) for value in range(18)]
        assert loaded.forecast(pattern, 18, 0.1, rating) == ENSEMBLE.forecast(pattern, 18, 0.1, rating)
    assert loaded.ratings == ENSEMBLE.ratings
    assert loaded.calibration_id == ENSEMBLE.calibration_id
    assert loaded.minutes == (0, 18)


def test_the_same_ensemble_has_the_same_digest(written: tuple[Path, str], tmp_path: Path) -> None:
    assert write_bundle(make_ensemble(minutes=(0, 18)), tmp_path / "again", EXTRA) == written[1]
    other = write_bundle(make_ensemble(minutes=(0, 18), seed=5), tmp_path / "other", EXTRA)
    assert other != written[1]


def test_a_bundle_written_again_after_loading_is_the_same(written: tuple[Path, str], tmp_path: Path) -> None:
    assert write_bundle(load_bundle(written[0]), tmp_path / "again", EXTRA) == written[1]


def test_the_manifest_tells_where_the_model_comes_from(written: tuple[Path, str]) -> None:
    manifest = read_manifest(written[0])
    assert manifest.digest == written[1] == sha256((written[0] / MANIFEST).read_bytes())
    assert (manifest.source, manifest.code_version) == ("simulated", "test")
    assert (manifest.trained_through, manifest.ratings_as_of) == (ENSEMBLE.trained_through, ENSEMBLE.ratings_as_of)
    assert manifest.extra == {"figures": {"rmse": 5.99}}
    assert manifest.calibration_id == ENSEMBLE.calibration_id


def test_golden_inputs_are_at_least_twenty_with_and_without_rating(written: tuple[Path, str]) -> None:
    golden = read_manifest(written[0]).body["golden"]
    assert len(golden) >= 20
    assert {item["ask"]["rating"] is None for item in golden} == {True, False}
    assert {item["ask"]["minute"] for item in golden} == {0, 18}


def test_a_bundle_is_never_written_over(written: tuple[Path, str]) -> None:
    with pytest.raises(BundleExists):
        write_bundle(ENSEMBLE, written[0], EXTRA)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadManifest, match="cannot be written as JSON"):
        write_bundle(ENSEMBLE, tmp_path / "nan", {**EXTRA, "figures": {"rmse": float("nan")}})
    with pytest.raises(BadManifest, match="code_version"):
        write_bundle(ENSEMBLE, tmp_path / "nameless", {})
    assert list(tmp_path.iterdir()) == []


def test_another_bundle_than_expected_is_refused(written: tuple[Path, str]) -> None:
    with pytest.raises(DigestMismatch, match="was expected"):
        load_bundle(written[0], "0" * 64)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_any_file_can_change_unseen(written: tuple[Path, str], tmp_path: Path, data: st.DataObject) -> None:
    folder, digest = written
    name = data.draw(st.sampled_from([MANIFEST, *(f"{name}.npy" for name in ARRAYS)]))
    content = bytearray((folder / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    copied = tmp_path / "tampered"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder, copied)
    (copied / name).write_bytes(content)
    with pytest.raises(DigestMismatch):
        load_bundle(copied, digest)


@pytest.mark.parametrize("name", [MANIFEST, "dejavu_margins.npy", "lstm_scale.npy"])
def test_a_truncated_file_is_refused(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError):
        load_bundle(copy)


@pytest.mark.parametrize("name", [MANIFEST, "calibration_residual.npy"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(MissingFile, match=name):
        load_bundle(copy)


def test_a_link_is_not_followed(copy: Path) -> None:
    target = copy.parent / "elsewhere.npy"
    shutil.move(copy / "lstm_scale.npy", target)
    os.symlink(target, copy / "lstm_scale.npy")
    with pytest.raises(MissingFile, match="not a plain file"):
        load_bundle(copy)


def test_a_file_over_the_limit_is_refused_before_it_is_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "MAX_ARRAY_BYTES", 1000)
    with pytest.raises(TooLarge, match="at most 1000"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "dejavu_margins/../x"])
def test_a_name_that_leads_out_of_the_folder_is_refused(copy: Path, name: str) -> None:
    edit(copy, lambda body: body["arrays"].update({name: body["arrays"].pop("lstm_scale")}))
    with pytest.raises(BadManifest, match="exactly these arrays"):
        load_bundle(copy)


def test_an_array_of_objects_is_never_unpickled(copy: Path) -> None:
    replace_array(copy, "lstm_scale", npy(np.array([print] * 24, dtype=object), allow_pickle=True))
    with pytest.raises(BadArray, match="lstm_scale"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("lstm_scale", np.full(24, np.nan), "NaN or Infinity"),
        ("lstm_scale", np.ones(24, dtype=np.float32), "<f4 with 1 axes"),
        ("lstm_scale", np.ones((24, 1)), "with 2 axes"),
        ("lstm_scale", np.ones(23), "lstm scale has shape"),
        ("lstm_scale", np.ones(0), "is empty"),
        ("calibration_residual", np.ones(3), "different lengths"),
        ("dejavu_ratings", np.zeros(5, dtype=np.int16), "ratings has shape"),
        ("dejavu_home", np.array([b"\xff"] * 120, dtype="S3"), "not ASCII"),
    ],
)
def test_an_array_that_is_not_what_it_should_be_is_refused(copy: Path, name: str, array: np.ndarray, says: str) -> None:
    replace_array(copy, name, npy(array))
    with pytest.raises(BadArray, match=says):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda body: body["weights"]["rated"].update(lstm=0.9), "weights"),
        (lambda body: body["weights"].pop("rated"), "weights"),
        (lambda body: body["ratings"]["values"].update(BOS="strong"), "ratings"),
        (lambda body: body.update(neighbours="many"), "neighbours"),
        (lambda body: body.update(trained_through="yesterday"), "cannot be"),
        (lambda body: body.update(code_version=""), "code_version"),
        (lambda body: body.update(extra=[]), "extra"),
        (lambda body: body.update(more=1), "too many or too few: more"),
        (lambda body: body.update(calibration_id="0" * 16), "the manifest names"),
        (lambda body: body.update(golden=[]), "golden inputs"),
        (lambda body: body["arrays"].update(lstm_scale=3), "sha256 and bytes"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    edit(copy, change)
    with pytest.raises(BadManifest, match=says):
        load_bundle(copy)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"format": NaN}', b"[" * 100_000])
def test_what_is_not_a_manifest_is_refused(copy: Path, content: bytes) -> None:
    (copy / MANIFEST).write_bytes(content)
    with pytest.raises(BadManifest):
        load_bundle(copy)


def test_another_format_is_refused_with_both_versions(copy: Path) -> None:
    edit(copy, lambda body: body.update(format=99))
    with pytest.raises(UnknownFormat, match="format 99, this code reads 3"):
        load_bundle(copy)


def test_a_manifest_that_was_reformatted_is_refused(copy: Path) -> None:
    body = json.loads((copy / MANIFEST).read_bytes())
    (copy / MANIFEST).write_text(json.dumps(body))
    with pytest.raises(BadManifest, match="canonical"):
        load_bundle(copy)


def test_a_model_that_answers_differently_is_refused(copy: Path) -> None:
    bias = np.array([0.5])
    replace_array(copy, "lstm_head_bias", npy(bias))
    with pytest.raises(GoldenMismatch, match="golden input 0 is off"):
        load_bundle(copy)


def test_answers_that_differ_in_the_last_bits_are_said_to(copy: Path) -> None:
    edit(copy, lambda body: body["golden"][3]["answer"].update(point=body["golden"][3]["answer"]["point"] + 1e-12))
    with pytest.warns(GoldenTolerance, match="not in every bit"):
        load_bundle(copy)
