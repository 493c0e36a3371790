"""The Kubernetes manifests by themselves: their schemas, rights, resources, scaling, and what overlays change."""

from __future__ import annotations

import json
import re

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from infra import kubernetes_files
from infra.prometheus import RULES
from services.settings import ROOT
from tests.support.containerfiles import IMAGES, Containerfile
from tests.support.manifests import (
    BASE,
    FOLDER,
    OVERLAYS,
    RENDERED,
    Document,
    amount,
    containers,
    flow_job,
    labels,
    leaves,
    of_kind,
    pod,
    rendered,
    selects,
    workloads,
)

# The oldest whose preStop knows `sleep` by default, and the newest that the schemas are of.
VERSIONS = ("1.30", "1.37")
# Of the Prometheus Operator, which has no schema among Kubernetes' own.
FOREIGN = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "AlertmanagerConfig"}
FLOW = "a flow run"
EVERY = [(name, workload) for name in RENDERED for workload in [*workloads(name), FLOW]]


def workload_of(name: str, workload: str) -> Document:
    return flow_job() if workload == FLOW else workloads(name)[workload]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RENDERED)
def test_every_document_is_of_kubernetes_own_schema(name: str, version: str) -> None:
    for document in [*rendered(name), flow_job()]:
        if document["kind"] in FOREIGN:
            assert document["apiVersion"].startswith("monitoring.coreos.com/")
            continue
        kubernetes_validate.validate(document, version, strict=True)


def test_every_file_of_the_base_is_used() -> None:
    told = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))
    used = {*told["resources"], *(patch["path"] for patch in told["patches"])}
    for made in told["configMapGenerator"]:
        used |= {*made.get("files", []), *made.get("envs", [])}
    assert used | {"kustomization.yaml"} == {path.name for path in BASE.iterdir()}
    assert {path.name for path in (FOLDER / "overlays").iterdir()} == set(OVERLAYS)


@pytest.mark.parametrize(("name", "workload"), EVERY)
def test_a_pod_is_as_restricted_as_pod_security_can_ask_and_its_root_is_read_only(name: str, workload: str) -> None:
    made = workload_of(name, workload)
    security = pod(made)["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 10001
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(made).keys()
    assert pod(made)["enableServiceLinks"] is False
    for container in containers(made):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        mounted = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        assert "/var/lib/halftime" in mounted
        assert not set(mounted.values()) - {one["name"] for one in pod(made)["volumes"]} - {"home"}
    for volume in pod(made).get("volumes", []):
        assert volume.keys() & {"emptyDir", "projected", "configMap", "persistentVolumeClaim"}, volume
        assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], volume["name"]


@pytest.mark.parametrize("name", RENDERED)
def test_nobody_but_prefects_worker_may_ask_kubernetes_anything(name: str) -> None:
    for workload, made in [*workloads(name).items(), (FLOW, flow_job())]:
        asks = workload == "prefect-worker"
        assert pod(made)["automountServiceAccountToken"] is asks, workload
        assert ("serviceAccountName" in pod(made)) is asks, workload
        assert (labels(made).get("halftime/kubernetes") == "client") is asks, workload
    assert set(of_kind(name, "Role", "ClusterRole")) == {"prefect-worker"}
    rules = of_kind(name, "Role")["prefect-worker"]["rules"]
    assert {one for rule in rules for one in rule["resources"]} == {"jobs", "pods", "pods/log", "pods/status", "events"}
    assert not {"*", "secrets"} & {one for rule in rules for one in [*rule["resources"], *rule["verbs"]]}


@pytest.mark.parametrize("name", RENDERED)
def test_the_namespace_refuses_what_is_less_restricted(name: str) -> None:
    (namespace,) = of_kind(name, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    cluster = {"Namespace"}
    for one in rendered(name):
        assert one["kind"] in cluster or one["metadata"]["namespace"] == namespace["metadata"]["name"], one["metadata"]


@pytest.mark.parametrize(("name", "workload"), EVERY)
def test_every_container_asks_for_what_it_gets_at_most_and_memory_is_never_promised_twice(
    name: str, workload: str
) -> None:
    for container in containers(workload_of(name, workload)):
        asked, most = container["resources"]["requests"], container["resources"]["limits"]
        assert asked.keys() == most.keys() == {"cpu", "memory"}
        assert amount(asked["cpu"]) <= amount(most["cpu"])
        assert asked["memory"] == most["memory"]


def test_a_forecaster_is_one_worker_of_one_thread() -> None:
    (container,) = pod(workloads("base")["forecaster"])["containers"]
    assert {"name": "HALFTIME_FORECASTER_WORKERS", "value": "1"} in container["env"]
    threads = {name: value for name, value in Containerfile.read("forecaster").env.items() if "THREADS" in name}
    assert threads == dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    assert amount(container["resources"]["limits"]["cpu"]) >= 2, "a core for the worker, and one that it never fills"


@pytest.mark.parametrize(("name", "workload"), EVERY)
def test_every_image_has_an_exact_tag_or_a_digest(name: str, workload: str) -> None:
    for container in containers(workload_of(name, workload)):
        assert re.fullmatch(r"[\w./-]+(:\d+\.\d+\.\d+(-[\w.]+)*|@sha256:[0-9a-f]{64})", container["image"])
        if found := re.search(r"halftime/(\w+):", container["image"]):
            assert found[1] in IMAGES
            made = Containerfile.read(found[1])
            assert made.one("USER") == "10001:10001"
            assert container["image"].endswith(f":{version()}")


def version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", RENDERED)
def test_no_secret_is_in_a_manifest_or_a_variable(name: str) -> None:
    assert not of_kind(name, "Secret")
    text = json.dumps(rendered(name))
    assert "secretKeyRef" not in text
    assert not re.search(r"://[^/\"]*:[^/\"]*@", text), "an address with a password"
    for made in [*workloads(name).values(), flow_job()]:
        for volume in pod(made).get("volumes", []):
            if volume["name"] == "secrets":
                assert volume["projected"]["defaultMode"] == 0o440


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_is_published_but_by_an_ingress_with_tls(name: str) -> None:
    for service in of_kind(name, "Service").values():
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"
        assert "externalIPs" not in service["spec"]
    ingresses = of_kind(name, "Ingress")
    assert set(ingresses) == {"forecaster", "board"}
    for one in ingresses.values():
        (tls,) = one["spec"]["tls"]
        assert tls["secretName"]
        assert tls["hosts"] == [rule["host"] for rule in one["spec"]["rules"]]


@pytest.mark.parametrize("name", RENDERED)
def test_scaled_workloads_have_no_number_of_their_own_and_never_fewer_than_two_pods(name: str) -> None:
    for scaled, scaler in of_kind(name, "HorizontalPodAutoscaler").items():
        spec = scaler["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
        target = workloads(name)[spec["scaleTargetRef"]["name"]]
        assert (target["kind"], target["metadata"]["name"]) == (spec["scaleTargetRef"]["kind"], scaled)
        assert "replicas" not in target["spec"], "each apply would set it back"
        assert {"requests"} <= pod(target)["containers"][0]["resources"].keys(), "a share of what?"
        assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
        assert spec["behavior"]["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    assert set(of_kind(name, "HorizontalPodAutoscaler")) == {"forecaster", "board"}


@pytest.mark.parametrize("name", RENDERED)
def test_a_node_can_be_emptied_and_pods_are_spread(name: str) -> None:
    budgets = of_kind(name, "PodDisruptionBudget")
    scaled = of_kind(name, "HorizontalPodAutoscaler")
    for workload, made in workloads(name).items():
        pods = 2 if workload in scaled else made["spec"].get("replicas", 1)
        several = made["kind"] != "Job" and pods > 1
        if not several:
            continue
        (budget,) = [one for one in budgets.values() if selects(one["spec"]["selector"], labels(made))]
        left = budget["spec"].get("minAvailable", pods - budget["spec"].get("maxUnavailable", pods))
        assert 1 <= left < pods, "one pod can go, and one stays"
        spread = pod(made)["topologySpreadConstraints"]
        assert {one["topologyKey"] for one in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert all(selects(one["labelSelector"], labels(made)) for one in spread)
    for budget in budgets.values():
        assert any(selects(budget["spec"]["selector"], labels(made)) for made in workloads(name).values())


def test_what_the_forecaster_has_not_stored_yet_outlives_its_pod() -> None:
    forecaster = workloads("base")["forecaster"]
    assert forecaster["kind"] == "StatefulSet"
    assert [one["metadata"]["name"] for one in forecaster["spec"]["volumeClaimTemplates"]] == ["home"]
    kept = forecaster["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert forecaster["spec"]["podManagementPolicy"] == "Parallel", "a burst waits for no pod before"
    assert "home" not in {one["name"] for one in pod(forecaster)["volumes"]}


def test_a_poller_stands_by_and_predictors_are_several() -> None:
    for loop in ("poller", "predictor"):
        assert workloads("base")[loop]["spec"]["replicas"] == 2
        assert workloads("production")[loop]["spec"]["replicas"] == 2


def different(one: str, other: str) -> set[str]:
    """Paths of the values that differ, without the digests in names of generated maps."""

    def said(name: str) -> dict[str, object]:
        found = {}
        for document in rendered(name):
            named = re.sub(r"-[0-9a-z]{10}$", "", document["metadata"]["name"])
            for path, value in leaves(document):
                plain = re.sub(r"^(settings|flow-run)-[0-9a-z]{10}$", r"\1", value) if isinstance(value, str) else value
                found[f"{document['kind']}/{named}{path}"] = plain
        return found

    first, second = said(one), said(other)
    return {path for path in first.keys() | second.keys() if first.get(path, ...) != second.get(path, ...)}


# What an overlay may change; whatever else differs has drifted.
MAY_DIFFER = {
    "production": (
        r"ConfigMap/(flow-)?settings/data/\w+",
        r"Ingress/\w+/spec/(tls/0/hosts/0|rules/0/host)",
        r"Ingress/\w+/metadata/annotations/cert-manager\.io/cluster-issuer",
        r"NetworkPolicy/(postgres|redis|mlflow|prefect)/spec/egress/0/to/0/ipBlock/cidr",
        r"PersistentVolumeClaim/(backups|evidently)/spec/storageClassName",
        r"\w+/\w+/spec/template/spec/(initC|c)ontainers/\w+/image",
        r"Job/deployments/spec/template/spec/initContainers/pool/args/2",
    ),
    "dev": (
        r"ConfigMap/(flow-)?settings/data/\w+",
        r"Ingress/\w+/spec/(tls/0/hosts/0|rules/0/host)",
        r"NetworkPolicy/(postgres|redis|mlflow|prefect)/spec/egress/0/to/\d/ipBlock/cidr",
        r"PersistentVolumeClaim/(backups|evidently)/spec/accessModes/0",
        r"PodDisruptionBudget/poller/spec/minAvailable",
        r"Deployment/poller/spec/(replicas|strategy/.+|template/spec/containers/(replay/.+|poller/env/.+))",
    ),
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_changes_what_it_is_there_for_and_nothing_else(name: str) -> None:
    found = different("base", name)
    assert found
    assert {path for path in found if not any(re.fullmatch(one, path) for one in MAY_DIFFER[name])} == set()


def test_rules_and_dashboard_are_those_of_monitoring() -> None:
    for path, text in kubernetes_files.texts().items():
        assert path.read_text(encoding="utf-8") == text
    (rule,) = of_kind("base", "PrometheusRule").values()
    assert rule["spec"] == yaml.safe_load(RULES.read_text(encoding="utf-8"))
    shown = of_kind("base", "ConfigMap")["dashboards"]["data"]["halftime.json"]
    assert shown == kubernetes_files.DASHBOARD.read_text(encoding="utf-8")
    assert len(json.dumps(shown)) < 250_000, "what kubectl apply notes on an object ends at 256 KiB"


def test_a_changed_copy_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert kubernetes_files.main(["--check"]) == 0
    monkeypatch.setattr(kubernetes_files, "HEAD", "# another\n")
    assert kubernetes_files.main(["--check"]) == 1
    assert "dashboards.yaml would change" in capsys.readouterr().err
