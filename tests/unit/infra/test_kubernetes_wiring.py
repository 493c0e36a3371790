"""What the Kubernetes manifests say of the code: programs, ports, routes, settings, edges, metrics, drains."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bentos.edge import BODY_TIMEOUT_S
from bentos.guard import DEADLINE_S
from bentos.instruments import ROUTES
from infra.environment import settings_env
from monitoring import report_server
from services import board_server
from services.settings import Settings
from tests.support.manifests import (
    OVERLAYS,
    PORTS,
    RENDERED,
    containers,
    default,
    flow_job,
    labels,
    main_container,
    of_kind,
    pod,
    selects,
    settings_of,
    source,
    workloads,
)

SERVED = [*PORTS, "prefect-worker"]
# What others' programs are told by their own variables.
FOREIGN = {
    "HOME", "DO_NOT_TRACK", "PREFECT_HOME", "PREFECT_WORKER_WEBSERVER_HOST", "PREFECT_WORKER_WEBSERVER_PORT",
    "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES",
}  # fmt: skip
# What is asked whether a process lives. None of these waits for another server; None: only whether it listens.
LIVES = {
    "forecaster": "/livez", "board": "/livez", "alerts": "/livez", "poller": "/metrics", "predictor": "/metrics",
    "evidently": "/api/version", "exporter": None, "prefect-worker": None,
}  # fmt: skip


def variables() -> set[str]:
    made = Settings.model_construct(**dict.fromkeys(Settings.model_fields, "x"))  # type: ignore[arg-type]
    return set(settings_env(made))


def routes(name: str) -> set[str]:
    """The paths that a program answers under, read from its code."""
    if name == "forecaster":
        return set(ROUTES)
    if name in {"poller", "predictor"}:
        return {"/metrics"}
    if name == "prefect-worker":
        return {"/health"}
    if name == "evidently":
        from importlib.util import find_spec

        spec = find_spec("evidently")
        assert spec is not None
        assert spec.submodule_search_locations
        api = Path(spec.submodule_search_locations[0]) / "ui" / "service" / "api"
        assert '@get("/version")' in (api / "service.py").read_text(encoding="utf-8")
        assert '"/projects"' in (api / "projects.py").read_text(encoding="utf-8")
        return {"/api/version", "/api/projects"}
    file = {"board": "services/board.py", "alerts": "flows/alert_receiver.py"}[name]
    return set(re.findall(r'(?:Route|Mount)\("(/[^"]*)"', source(file)))


@pytest.mark.parametrize("name", RENDERED)
def test_every_program_is_one_of_the_local_stack_and_selectors_find_its_pods(name: str) -> None:
    known = source("infra/programs_table.py", "infra/tools_table.py")
    for workload, made in workloads(name).items():
        for container in containers(made):
            if "halftime/worker" in container["image"]:
                module = container["args"][0]
                assert f'"{module}"' in known or module == "infra.prefect_pool", module
                assert "command" not in container, "the image's entrypoint is python -m"
            elif "halftime/" in container["image"]:
                assert not {"command", "args"} & container.keys(), workload
        if made["kind"] != "Job":
            assert selects(made["spec"]["selector"], labels(made))
            others = [one for other, one in workloads(name).items() if other != workload]
            assert not any(selects(made["spec"]["selector"], labels(one)) for one in others)


@pytest.mark.parametrize("name", RENDERED)
def test_every_port_is_the_settings_own_and_every_service_leads_to_it(name: str) -> None:
    for workload in PORTS:
        (port,) = main_container(workloads(name)[workload])["ports"]
        assert port["containerPort"] == default(PORTS[workload])
    for service in of_kind(name, "Service").values():
        (made,) = [one for one in workloads(name).values() if selects(service["spec"]["selector"], labels(one))]
        (outside,), (inside,) = service["spec"]["ports"], main_container(made)["ports"]
        assert outside["targetPort"] == inside["name"]
        assert outside["name"] != "metrics" or outside["port"] == default("exporter_port")
    # What settings and pages say of the two that are asked by name.
    assert of_kind(name, "Service")["forecaster"]["spec"]["ports"][0]["port"] == 80
    assert of_kind(name, "Service")["alerts"]["spec"]["ports"][0]["port"] == default("alerts_port")


@pytest.mark.parametrize("workload", SERVED)
def test_start_readiness_and_life_are_asked_apart_and_life_depends_on_nobody(workload: str) -> None:
    container = main_container(workloads("base")[workload])
    (port,) = container["ports"]
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
    for probe in probes.values():
        asked = probe.get("httpGet") or probe["tcpSocket"]
        assert asked["port"] == port["name"]
        assert "httpGet" not in probe or asked["path"] in routes(workload)
        assert probe["timeoutSeconds"] >= 3
    lives = probes["liveness"].get("httpGet", {}).get("path")
    assert lives == LIVES[workload]
    assert probes["startup"].get("httpGet", {}).get("path") == lives, "a start that hangs is the only one ended"
    starts_s = probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"]
    assert starts_s >= 60, "a cold start on a busy node"
    assert probes["liveness"]["failureThreshold"] > probes["readiness"]["failureThreshold"]


def test_a_pod_without_a_model_or_a_stream_is_taken_out_and_not_killed() -> None:
    for workload in ("forecaster", "board"):
        container = main_container(workloads("base")[workload])
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_what_is_being_answered_gets_its_time_before_a_pod_is_killed() -> None:
    needs_s = {
        "forecaster": BODY_TIMEOUT_S + DEADLINE_S + 10.0,  # and what the spool still drains
        "board": board_server.GRACE_S + 2.0,
        "alerts": 15.0,
        "evidently": report_server.GRACE_S + 2.0,
        "poller": 15.0,
        "predictor": 15.0,
    }
    for workload, need_s in needs_s.items():
        made = workloads("base")[workload]
        hook = main_container(made).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod(made)["terminationGracePeriodSeconds"] >= hook + need_s, workload
        # Who is asked through a Service by others goes on until nobody is led there any more.
        assert (hook == 10) is (workload in {"forecaster", "board", "alerts"}), workload


@pytest.mark.parametrize("name", RENDERED)
def test_every_variable_is_a_setting_or_a_known_one_of_others(name: str) -> None:
    found: set[str] = set()
    for made in workloads(name).values():
        for container in containers(made):
            given = settings_of(name, container)
            found |= given.keys()
            assert given.keys() <= variables() | FOREIGN
            own = [one["name"] for one in container.get("env", [])]
            assert len(own) == len(set(own))
    assert found >= {"HALFTIME_SECRETS_DIR", "HALFTIME_FORECASTER_BASE_URL"}
    maps = of_kind(name, "ConfigMap")
    (told,) = [one for key, one in maps.items() if key.startswith("settings-")]
    assert maps["flow-settings"]["data"] == told["data"], "a flow run is told what everybody is"


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_settings_of_each_program_can_be_used_with_its_secrets(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets = {
        "database": ("database_url", "postgresql+psycopg2://u:p@db.example.com/halftime"),
        "redis": ("redis_url", "rediss://:p@redis.example.com:6379/0"),
        "api-key": ("api_key", "k" * 32),
    }
    hosts = [rule["host"] for one in of_kind(name, "Ingress").values() for rule in one["spec"]["rules"]]
    for workload, made in [*workloads(name).items(), ("flow-run", flow_job())]:
        if workload == "prefect-worker":
            continue
        volumes = {one["name"]: one for one in pod(made)["volumes"]}
        sources = volumes.get("secrets", {}).get("projected", {}).get("sources", [])
        folder = tmp_path / workload
        folder.mkdir()
        for one in sources:
            file, value = secrets[one["secret"]["name"]]
            (folder / file).write_text(value)
        for container in containers(made):
            for variable in variables():
                monkeypatch.delenv(variable, raising=False)
            given = settings_of(name, container)
            for variable in variables() & given.keys():
                monkeypatch.setenv(variable, given[variable].replace("/run/secrets/halftime", str(folder)))
            settings = Settings(_env_file=None)  # type: ignore[call-arg]
            assert settings.forecaster_url == "http://forecaster"
            assert {"forecaster", *hosts} == set(settings.allowed_hosts)
            assert settings.board_url == f"https://{of_kind(name, 'Ingress')['board']['spec']['rules'][0]['host']}"
            assert settings.work_pool == "halftime-kubernetes"
            assert bool(settings.database_url) is any(one["secret"]["name"] == "database" for one in sources)
            assert bool(settings.redis_url) is any(one["secret"]["name"] == "redis" for one in sources)


@pytest.mark.parametrize("name", RENDERED)
def test_every_route_that_is_for_others_is_on_the_ingress_and_no_other(name: str) -> None:
    inside = {"/metrics", "/livez", "/readyz", "/healthz"}
    paths = {
        of: {path["path"]: path["pathType"] for path in one["spec"]["rules"][0]["http"]["paths"]}
        for of, one in of_kind(name, "Ingress").items()
    }
    assert set(paths["forecaster"]) == set(ROUTES) - inside | {"/", "/openapi.json"}
    # A dot is refused in an exact path by releases of ingress-nginx.
    assert paths["forecaster"].pop("/openapi.json") == "ImplementationSpecific"
    assert set(paths["forecaster"].values()) == {"Exact"}, "/metrics/summary leads on, /metrics does not"
    board = {re.match(r"/\w*", route)[0] for route in routes("board") | {"/ws"}}  # type: ignore[index]
    assert set(paths["board"]) == board - inside
    assert paths["board"]["/"] == "Exact"
    for of, one in of_kind(name, "Ingress").items():
        backends = [path["backend"]["service"] for path in one["spec"]["rules"][0]["http"]["paths"]]
        assert backends == [{"name": of, "port": {"name": "http"}}] * len(backends)
