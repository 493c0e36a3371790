"""``bentoml build`` makes a bento that serves from its own copy of the code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentos.answering import code_version
from bentos.build import Pin, build_pinned
from models.bundle import BundleError, read_manifest
from services.settings import ROOT
from tests.support.running_forecaster import running_forecaster, small_bundle
from tests.support.servers import temporary_folder


@pytest.fixture(scope="module")
def bento_home() -> Iterator[Path]:
    with temporary_folder("bento") as folder:
        yield folder


@pytest.fixture(scope="module")
def bento(bento_home: Path) -> Path:
    """The folder of the built bento; BENTOML_HOME lies outside of the build context."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HALFTIME_", "BENTO"))}
    env |= {"BENTOML_HOME": str(bento_home), "BENTOML_DO_NOT_TRACK": "True", "HALFTIME_HOME": str(bento_home / "data")}
    command = [sys.executable, "-m", "bentoml", "build", "-f", "bentos/bentofile.yaml", "--output", "tag", "."]
    built = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    version = (bento_home / "bentos" / "halftime" / "latest").read_text().strip()
    return bento_home / "bentos" / "halftime" / version


def test_bento_holds_the_service_and_no_data_test_or_secret(bento: Path) -> None:
    files = {path.relative_to(bento / "src").as_posix() for path in (bento / "src").rglob("*") if path.is_file()}
    assert {name.split("/")[0] for name in files} == {"bentos", "models", "services", "bentofile.yaml"}
    assert {Path(name).suffix for name in files} == {".py", ".yaml"}
    assert "bentos/forecaster.py" in files
    assert "models: []" in (bento / "bento.yaml").read_text()


def test_a_pinned_bento_serves_its_version_and_refuses_any_other_bytes(bento_home: Path, tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "bundle")
    pin = Pin("12", read_manifest(bundle).digest)
    with pytest.raises(BundleError):
        build_pinned(bundle, Pin("12", "0" * 64), bento_home)
    tag = build_pinned(bundle, pin, bento_home)
    assert tag == f"halftime:v12-{pin.digest[:12]}"
    own = {"serve": tag, "cwd": tmp_path, "BENTOML_HOME": str(bento_home)}
    with running_forecaster(bento_home / "pinned", None, **own) as running:  # type: ignore[arg-type]
        answer = running.predict().json()
        assert (answer["model_version"], answer["model_digest"]) == pin
        assert answer["code_version"] == code_version()
        assert "pinned" in running.http.get("/model").json()["loaded_from"]
    source = bento_home / "bentos" / "halftime" / tag.partition(":")[2] / "src" / "pinned" / "bundle"
    array = next(source.glob("*.npy"))
    array.write_bytes(array.read_bytes()[:-1] + b"\x01")
    with running_forecaster(bento_home / "broken", None, ready=False, **own) as running:  # type: ignore[arg-type]
        running.wait_unready("is not the file the manifest names")
        assert running.predict().status_code == 503


def test_built_bento_serves_the_same_code(bento: Path, bento_home: Path, tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "bundle")
    with running_forecaster(
        bento_home / "run", bundle, serve=f"halftime:{bento.name}", cwd=tmp_path, BENTOML_HOME=str(bento_home)
    ) as running:
        answer = running.predict(home="BOS", away="NYK")
        assert answer.status_code == 200
        assert answer.json()["code_version"] == code_version()
        assert running.predict(alpha=7).status_code == 400
        assert running.http.get("/docs").status_code == 200
        assert len(running.workers()) == 1
