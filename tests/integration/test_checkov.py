"""checkov over what is deployed: it finds nothing but what is waived, each with its reason, and every waiver is needed.

It runs in an environment of its own (`make checkov`) and, as root, without a network. A waiver of a workload is an
annotation that checkov reads itself: `infra/kubernetes/base/waivers.yaml`, or the workload's own.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from services.settings import ROOT
from tests.support.containerfiles import IMAGES
from tests.support.image_room import able
from tests.support.manifests import OVERLAYS, Document, containers, flow_job, main_container, rendered, workloads

CHECKOV = Path(sys.prefix).resolve().with_name("checkov") / "bin" / "checkov"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHECKOV.exists(), reason="checkov is not installed: make checkov"),
]
ANNOTATION = re.compile(r"checkov\.io/skip\d+")
WAIVER = re.compile(r"(CKV2?_K8S_\d+)=(.{20,})")
# Of the 982 and 237 when this was written: a checkov that reads next to nothing must not pass for a clean one.
LEAST_OF_MANIFESTS = 950
LEAST_OF_CONTAINER_FILES = 200
Finding = tuple[str, str]


def run(framework: str, *arguments: str | Path) -> dict[str, object]:
    """What checkov says; it downloads nothing, reports to nobody and, where it can be kept from it, has no network."""
    command: list[str | Path] = [CHECKOV, "--framework", framework, "--skip-download", "--compact", "--output", "json"]
    if able():
        command = ["unshare", "--net", *command]
    # Its own settings in the environment would change what it finds.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CKV_", "CHECKOV_", "BC_"))}
    env |= {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true", "LOG_LEVEL": "ERROR"}
    done = subprocess.run([*command, *arguments], env=env, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr[-3000:]
    assert "ERROR" not in done.stderr, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert isinstance(said, dict), "one framework, one report"
    return said


def count(said: dict[str, object], what: str) -> int:
    """A figure of the summary; 0 where it read nothing."""
    figures = said.get("summary", said)
    assert isinstance(figures, dict)
    return int(figures[what])


def found(said: dict[str, object], what: str) -> set[Finding]:
    """(resource, check) of the checks that `failed` or were `skipped`."""
    results = said.get("results", {})
    assert isinstance(results, dict)
    return {(one["resource"], one["check_id"]) for one in results.get(f"{what}_checks", [])}


def deployed(overlay: str) -> list[Document]:
    """An overlay's documents, and the Job that Prefect makes of a flow run with the waivers of what has its image."""
    job = flow_job()
    poller = workloads(overlay)["poller"]
    assert main_container(poller)["image"].endswith("halftime/worker:0.1.0")
    job["metadata"] |= {
        "name": "flow-run",
        "namespace": "halftime",
        "annotations": dict(poller["metadata"]["annotations"]),
    }
    return copy.deepcopy([*rendered(overlay), job])


def waived(documents: list[Document]) -> set[Finding]:
    """(resource, check) of every waiver."""
    all_of_them = set()
    for one in documents:
        for name, text in (one["metadata"].get("annotations") or {}).items():
            if ANNOTATION.fullmatch(name):
                told = WAIVER.fullmatch(text)
                assert told is not None, f"{name}: {text!r} is no CHECK=reason"
                all_of_them.add((f"{one['kind']}.halftime.{one['metadata']['name']}", told[1]))
    return all_of_them


def scanned(documents: list[Document], folder: Path) -> dict[str, object]:
    """What checkov says of these documents."""
    file = folder / "all.yaml"
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    said = run("kubernetes", "--file", file)
    assert count(said, "parsing_errors") == 0
    return said


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_checkov_finds_nothing_in_an_overlay_but_what_is_waived(overlay: str, tmp_path: Path) -> None:
    documents = deployed(overlay)
    said = scanned(documents, tmp_path)
    assert found(said, "failed") == set()
    assert found(said, "skipped") == waived(documents)
    assert count(said, "passed") >= LEAST_OF_MANIFESTS


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_checkov_would_find_every_fault_that_is_waived(overlay: str, tmp_path: Path) -> None:
    documents = deployed(overlay)
    waivers = waived(documents)
    for one in documents:
        notes = one["metadata"].get("annotations") or {}
        one["metadata"]["annotations"] = {name: text for name, text in notes.items() if not ANNOTATION.match(name)}
    said = scanned(documents, tmp_path)
    assert found(said, "failed") == waivers
    assert found(said, "skipped") == set()


def test_checkov_finds_the_faults_that_are_planted(tmp_path: Path) -> None:
    documents = deployed("production")
    plant = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    board = containers(plant["Deployment", "board"])[0]
    board["securityContext"]["privileged"] = True
    poller = containers(plant["Deployment", "poller"])[0]
    del poller["resources"]["limits"]
    exporter = containers(plant["Deployment", "exporter"])[0]
    exporter["env"] = [{"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "database", "key": "url"}}}]
    assert found(scanned(documents, tmp_path), "failed") == {
        ("Deployment.halftime.board", "CKV_K8S_16"),
        ("Deployment.halftime.poller", "CKV_K8S_11"),
        ("Deployment.halftime.poller", "CKV_K8S_13"),
        ("Deployment.halftime.exporter", "CKV_K8S_35"),
    }


def test_checkov_finds_nothing_in_the_container_files(tmp_path: Path) -> None:
    for name in IMAGES:
        # It knows a file by this name alone.
        shutil.copy(ROOT / "infra" / "containers" / f"{name}.Containerfile", tmp_path / f"{name}.Dockerfile")
    said = run("dockerfile", "--directory", tmp_path)
    assert (found(said, "failed"), found(said, "skipped")) == (set(), set())
    assert count(said, "resource_count") == len(IMAGES)
    assert count(said, "passed") >= LEAST_OF_CONTAINER_FILES


def test_checkov_finds_no_secret_in_infra_and_would_find_one(tmp_path: Path) -> None:
    folder = tmp_path / "infra"
    shutil.copytree(ROOT / "infra", folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert found(run("secrets", "--enable-secret-scan-all-files", "--directory", folder), "failed") == set()
    manifest = folder / "kubernetes" / "base" / "settings.env"
    # In two parts, or this very line would be a find.
    manifest.write_text(
        manifest.read_text() + "DATABASE_URL=postgresql+psycopg2://halftime:" + "wrong-horse@db/halftime\n"
    )
    said = run("secrets", "--enable-secret-scan-all-files", "--directory", folder)
    assert {check for _, check in found(said, "failed")} == {"CKV_SECRET_4"}
