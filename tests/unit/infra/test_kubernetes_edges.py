"""What the Kubernetes manifests let through, watch and scale by, and what a flow run is made of."""

from __future__ import annotations

import json
import re

import pytest
import yaml  # type: ignore[import-untyped]

from bentos.instruments import IN_FLIGHT
from infra.prometheus import alertmanager_config, targets
from services.settings import Settings
from tests.support.manifests import (
    BASE,
    FOLDER,
    PORTS,
    RENDERED,
    containers,
    default,
    flow_job,
    labels,
    main_container,
    of_kind,
    pod,
    rendered,
    selects,
    source,
    workloads,
)


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_is_let_through_but_what_a_pod_says_it_needs(name: str) -> None:
    policies = {key: one["spec"] for key, one in of_kind(name, "NetworkPolicy").items()}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    edges = set()
    for workload, made in [*workloads(name).items(), ("flow-run", flow_job())]:
        mine = {key for key, value in labels(made).items() if value == "client"}
        edges |= {(workload, edge.removeprefix("halftime/")) for edge in mine}
        for edge in mine:
            policy = "to-forecaster" if edge == "halftime/forecaster" else edge.removeprefix("halftime/")
            assert policies[policy]["podSelector"] == {"matchLabels": {edge: "client"}}
            assert policies[policy]["policyTypes"] == ["Egress"]
        volumes = {one["name"]: one for one in pod(made).get("volumes", [])}
        held = {one["secret"]["name"] for one in volumes.get("secrets", {}).get("projected", {}).get("sources", [])}
        assert ("database" in held) is ("halftime/postgres" in mine), workload
        assert ("redis" in held) is ("halftime/redis" in mine), workload
    assert {workload for workload, edge in edges if edge == "internet"} == {"poller", "flow-run"}
    assert {workload for workload, edge in edges if edge == "forecaster"} == {"predictor", "flow-run"}
    assert {workload for workload, edge in edges if edge == "mlflow"} == {"forecaster", "flow-run"}
    reached = {key: spec for key, spec in policies.items() if "Ingress" in spec["policyTypes"] and key != "deny-all"}
    assert set(reached) == {"forecaster", "board", "metrics", "alerts", "acme"}
    assert not any(selects(reached["acme"]["podSelector"], labels(made)) for made in workloads(name).values())
    for key, spec in reached.items():
        asked = {one["port"] for rule in spec["ingress"] for one in rule["ports"]}
        for workload in PORTS:
            if selects(spec["podSelector"], labels(workloads(name)[workload])):
                assert default(PORTS[workload]) in asked, key
    assert "evidently" not in json.dumps(reached), "it asks for no password"
    outside = policies["internet"]["egress"][0]["to"][0]["ipBlock"]
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(outside["except"])


@pytest.mark.parametrize("name", RENDERED)
def test_prometheus_finds_all_that_it_finds_in_the_local_stack_under_the_same_jobs(name: str) -> None:
    (services,), (pods,) = of_kind(name, "ServiceMonitor").values(), of_kind(name, "PodMonitor").values()
    found = set()
    for service in of_kind(name, "Service").values():
        if selects(services["spec"]["selector"], service["metadata"]["labels"]):
            assert service["spec"]["ports"][0]["name"] == services["spec"]["endpoints"][0]["port"]
            found.add(service["metadata"]["labels"]["app.kubernetes.io/name"])
    for workload, made in workloads(name).items():
        if selects(pods["spec"]["selector"], labels(made)):
            assert main_container(made)["ports"][0]["name"] == pods["spec"]["podMetricsEndpoints"][0]["port"]
            found.add(workload)
    settings = Settings.model_construct()
    assert {f"halftime-{one}" for one in found} == set(targets(settings, str))
    for rule in (services["spec"]["endpoints"][0], pods["spec"]["podMetricsEndpoints"][0]):
        (relabelling,) = rule["relabelings"]
        assert (relabelling["targetLabel"], relabelling["replacement"]) == ("job", "halftime-$1")


def test_metrics_that_pods_are_scaled_by_are_published_and_handed_on() -> None:
    adapter = yaml.safe_load((FOLDER / "metrics-adapter.yaml").read_text(encoding="utf-8"))
    handed = {rule["seriesQuery"].partition("{")[0] for rule in adapter["rules"]["custom"]}
    asked = {
        metric["pods"]["metric"]["name"]
        for scaler in of_kind("base", "HorizontalPodAutoscaler").values()
        for metric in scaler["spec"]["metrics"]
        if metric["type"] == "Pods"
    }
    (family,) = IN_FLIGHT.collect()
    assert '"halftime_board_clients"' in source("services/board_routes.py")
    assert handed == asked == {family.name, "halftime_board_clients"}


def test_alertmanager_is_told_what_that_of_the_local_stack_is() -> None:
    (told,) = of_kind("base", "AlertmanagerConfig").values()
    wanted = alertmanager_config(Settings.model_construct(), host_of=lambda name: f"{name}.halftime.svc")
    route, known = told["spec"]["route"], wanted["route"]
    assert (route["receiver"], route["groupBy"]) == (known["receiver"], known["group_by"])
    assert (route["groupWait"], route["groupInterval"]) == (known["group_wait"], known["group_interval"])
    assert route["repeatInterval"] == "4h"
    assert known["repeat_interval"] == "14400s"
    assert [f'{one["name"]}="{one["value"]}"' for one in route["routes"][0]["matchers"]] == known["routes"][0][
        "matchers"
    ]
    hook = told["spec"]["receivers"][1]["webhookConfigs"][0]
    assert hook == {"url": wanted["receivers"][1]["webhook_configs"][0]["url"], "sendResolved": True}


def test_a_flow_run_has_the_settings_secrets_and_claims_of_its_namespace_and_the_releases_image() -> None:
    for name in RENDERED:
        job = workloads(name)["deployments"]
        (pool,) = pod(job)["initContainers"]
        assert pool["args"][2] == pool["image"] == containers(job)[1]["image"]
        (template,) = [one for key, one in of_kind(name, "ConfigMap").items() if key.startswith("flow-run-")]
        assert template["data"] == {"base-job-template.json": source("infra/kubernetes/base/base-job-template.json")}
        claims = {
            one["persistentVolumeClaim"]["claimName"]
            for one in pod(flow_job())["volumes"]
            if "persistentVolumeClaim" in one
        }
        assert claims == set(of_kind(name, "PersistentVolumeClaim"))
    mounted = {one["mountPath"] for one in containers(flow_job())[0]["volumeMounts"]}
    assert {"/var/lib/halftime/backups", "/var/lib/halftime/evidently"} <= mounted, "the rest is gone with the run"
    assert json.loads((BASE / "base-job-template.json").read_text())["job_configuration"]["namespace"] == "halftime"


@pytest.mark.parametrize("name", RENDERED)
def test_what_is_applied_first_is_enough_for_the_tables_to_be_made(name: str) -> None:
    first = [one for one in rendered(name) if one["metadata"].get("labels", {}).get("halftime/step") == "first"]
    found = {(one["kind"], re.sub(r"-[0-9a-z]{10}$", "", one["metadata"]["name"])) for one in first}
    assert found == {
        ("Namespace", "halftime"), ("ConfigMap", "settings"), ("Job", "migrate"),
        ("NetworkPolicy", "deny-all"), ("NetworkPolicy", "dns"), ("NetworkPolicy", "postgres"),
    }  # fmt: skip
    migrate = workloads(name)["migrate"]
    assert {key for key, value in labels(migrate).items() if value == "client"} == {"halftime/postgres"}
    (taken,) = [one["configMapRef"]["name"] for one in main_container(migrate)["envFrom"]]
    assert taken in {one["metadata"]["name"] for one in first}
