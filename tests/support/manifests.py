"""The Kubernetes manifests as kustomize renders them, and what tests ask of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from services.settings import ROOT, Settings

FOLDER = ROOT / "infra" / "kubernetes"
BASE = FOLDER / "base"
OVERLAYS = ("dev", "production")
RENDERED = ("base", *OVERLAYS)
WORKLOADS = ("Deployment", "StatefulSet", "Job")
Document = dict[str, Any]
# Port of a container -> the setting whose default it is.
PORTS = {
    "forecaster": "forecaster_port", "board": "board_port", "exporter": "exporter_port", "alerts": "alerts_port",
    "evidently": "evidently_port", "poller": "poller_metrics_port", "predictor": "predictor_metrics_port",
}  # fmt: skip


@cache
def rendered(name: str) -> tuple[Document, ...]:
    """Every document of the base or an overlay."""
    folder = BASE if name == "base" else FOLDER / "overlays" / name
    # The wheel's kubectl, which has kustomize in it: always the same, whatever the machine has.
    program = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([program, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns"
    return tuple(one for one in yaml.safe_load_all(done.stdout) if one)


def of_kind(name: str, *kinds: str) -> dict[str, Document]:
    """Name -> document, of some kinds."""
    return {one["metadata"]["name"]: one for one in rendered(name) if one["kind"] in kinds}


def workloads(name: str) -> dict[str, Document]:
    """Name -> Deployment, StatefulSet or Job."""
    return of_kind(name, *WORKLOADS)


def pod(workload: Document) -> Document:
    """A workload's pod: its specification."""
    return workload["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def main_container(workload: Document) -> Document:
    """The container that a workload is about."""
    return pod(workload)["containers"][0]  # type: ignore[no-any-return]


def labels(workload: Document) -> dict[str, str]:
    """The labels of a workload's pods."""
    return workload["spec"]["template"]["metadata"]["labels"]  # type: ignore[no-any-return]


def containers(workload: Document) -> list[Document]:
    """All containers of a workload's pod, those that run first too."""
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def settings_of(name: str, container: Document) -> dict[str, str]:
    """The variables of a container, with those of the maps it takes whole."""
    given: dict[str, str] = {}
    for source in container.get("envFrom", []):
        given |= of_kind(name, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    return given | {one["name"]: one["value"] for one in container.get("env", [])}


def selects(selector: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    """Whether a selector, with labels and expressions or plain labels, finds a pod with these labels."""
    plain = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    wanted = all(found.get(key) == value for key, value in plain.items())
    return wanted and all(
        found.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
        if one["operator"] == "In"
    )


def default(field: str) -> object:
    """A setting's default."""
    return Settings.model_fields[field].default


def source(*names: str) -> str:
    """The text of files of the checkout."""
    return "".join((ROOT / name).read_text(encoding="utf-8") for name in names)


def amount(text: str) -> float:
    """A quantity of processor time or memory as a number."""
    units = {"m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "": 1.0}
    found = re.fullmatch(r"(\d+)(m|Ki|Mi|Gi|)", text)
    assert found is not None, text
    return int(found[1]) * units[found[2]]


def flow_job(**values: object) -> Document:
    """The Job that Prefect's worker makes of a flow run: each `{{ name }}` gets its value or its default."""
    template = json.loads((BASE / "base-job-template.json").read_text(encoding="utf-8"))
    said = template["variables"]["properties"]
    known = {name: one["default"] for name, one in said.items() if "default" in one}
    known |= {"name": "run", "labels": {}, "annotations": {}, "env": [], **values}
    known["command"] = str(known["command"]).split()  # as the worker does
    job = _filled(template["job_configuration"]["job_manifest"], known)
    # The worker insists on these two where the schema has no place for them.
    assert (job["spec"]["template"]["spec"].pop("parallelism"), job["spec"]["template"]["spec"].pop("completions")) == (
        1,
        1,
    )
    return job  # type: ignore[no-any-return]


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, known) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, known) for one in value]
    if isinstance(value, str) and (whole := re.fullmatch(r"\{\{ (\w+) \}\}", value)):
        return known[whole[1]]
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: str(known[found[1]]), value) if isinstance(value, str) else value


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value of a document with its path; items of a list by their name where they have one."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, f"{path}/{key}")
    elif isinstance(value, list):
        for place, one in enumerate(value):
            name = one.get("name", place) if isinstance(one, dict) else place
            yield from leaves(one, f"{path}/{name}")
    else:
        yield path, value
