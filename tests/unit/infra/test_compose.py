"""infra/compose.yaml and its files, as far as no daemon is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from infra import compose_files, compose_secrets, services_table, with_secrets
from infra.environment import settings_env
from infra.prefect_pool import POOL
from infra.programs_table import poller, predictor
from infra.service import Service
from services.settings import DRIVER, ROOT, Settings
from tests.support.containerfiles import IMAGES, Containerfile

FILE = ROOT / "infra" / "compose.yaml"
ONE_SHOT = {"migrate", "deployments"}
# What the servers of others are told by their own variables.
FOREIGN = re.compile(r"(GF|POSTGRES)_[A-Z_]+")
FOREIGN_NAMES = {
    "MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "PREFECT_UI_API_URL", "PREFECT_UI_URL",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT", "PREFECT_SERVER_EVENTS_RETENTION_PERIOD",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD",
    "PREFECT_WORKER_WEBSERVER_HOST", "PREFECT_WORKER_WEBSERVER_PORT",
}  # fmt: skip
# Port in the container -> the setting whose default it is.
PORTS = {
    "forecaster": "forecaster_port", "board": "board_port", "prefect": "prefect_port", "mlflow": "mlflow_port",
    "evidently": "evidently_port", "alertmanager": "alertmanager_port", "prometheus": "prometheus_port",
    "alerts": "alerts_port", "replay": "replay_port", "predictor": "predictor_metrics_port",
}  # fmt: skip


@cache
def compose() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def services() -> dict[str, dict[str, Any]]:
    return compose()["services"]  # type: ignore[no-any-return]


NAMES = sorted(services())


def image_of(service: dict[str, Any]) -> str | None:
    """Which image of ours a service runs."""
    found = re.fullmatch(r"halftime/(\w+):\$\{IMAGE_TAG:-0\.1\.0\}", service["image"])
    return found[1] if found else None


def default(value: str) -> str:
    """What Compose makes of a value when no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def variables(settings: Settings | None = None) -> set[str]:
    made = Settings.model_construct(**dict.fromkeys(Settings.model_fields, "x"))  # type: ignore[arg-type]
    return set(settings_env(settings or made))


def test_it_is_of_composes_schema() -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [program, "--builtin-schema", "vendor.compose-spec", FILE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_all_that_the_local_stack_runs() -> None:
    assert set(services_table.MAKERS) <= set(services())
    assert set(services()) - set(services_table.MAKERS) == {"grafana"}
    assert [name for name in NAMES if "profiles" in services()[name]] == ["replay"]


@pytest.mark.parametrize("name", NAMES)
def test_a_service_has_no_right_that_it_does_not_need(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc"} & service.keys()
    if name in {"postgres", "redis"}:  # their images begin as root; the others have a user of their own
        assert service["user"] == name
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory"}
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_of_others_has_an_exact_tag(name: str) -> None:
    image = services()[name]["image"]
    if image_of(services()[name]) is None:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", image)


def test_every_image_of_ours_is_built_here_once_and_never_pulled() -> None:
    built = {}
    for name, service in services().items():
        if (image := image_of(service)) is not None:
            assert service["pull_policy"] == "never", name
            assert image in IMAGES
        if "build" in service:
            assert service["build"]["context"] == ".."
            built[image] = service["build"]["dockerfile"]
    assert built == {image: f"infra/containers/{image}.Containerfile" for image in IMAGES}


def test_every_published_port_is_on_loopback_and_the_settings_own() -> None:
    for name, service in services().items():
        for port in service.get("ports", []):
            host, outside, inside = port.rsplit(":", 2)
            assert host == "127.0.0.1", name
            assert outside == inside
            assert int(inside) == (3000 if name == "grafana" else Settings.model_fields[PORTS[name]].default)
            assert service["networks"] == ["inside", "outside"], "a port of an internal network alone is not published"
    assert compose()["networks"]["inside"] == {"internal": True}


def test_what_nobody_outside_asks_for_is_on_the_internal_network_alone() -> None:
    # The poller asks the feed, the worker the archives of past seasons.
    outside = {
        name
        for name in NAMES
        if "outside" in services()[name].get("networks", []) and not services()[name].get("ports")
    }
    assert outside == {"poller", "worker"}


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_a_setting_or_a_known_one_of_others(name: str) -> None:
    for variable, value in services()[name].get("environment", {}).items():
        assert variable in variables() | FOREIGN_NAMES or FOREIGN.fullmatch(variable), variable
        assert not re.search(r"://[^/]*:[^/]*@", str(value)), "an address with a password"


@pytest.mark.parametrize("name", [name for name in NAMES if image_of(services()[name])])
def test_the_settings_that_a_service_is_given_can_be_used(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in variables():
        monkeypatch.delenv(variable, raising=False)
    for text in compose_secrets.made().items():
        (tmp_path / text[0]).write_text(text[1])
    given = services()[name].get("environment", {})
    for variable in variables() & given.keys():
        monkeypatch.setenv(variable, default(given[variable]).replace("/run/secrets", str(tmp_path)))
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert settings.forecaster_workers == 2
    if "database_url" in services()[name].get("secrets", []):
        assert settings.resolved_database_url.endswith("@postgres:5432/halftime")
    if "redis_url" in services()[name].get("secrets", []):
        assert settings.resolved_redis_url.endswith("@redis:6379/0")


def test_whoever_reads_secrets_is_told_where_and_each_has_its_file() -> None:
    declared = compose()["secrets"]
    assert set(declared) == set(compose_secrets.made())
    assert {name: default(each["file"]) for name, each in declared.items()} == {
        name: f"../.halftime/secrets/{name}" for name in declared
    }
    used = {secret for service in services().values() for secret in service.get("secrets", [])}
    assert used == set(declared)
    for name, service in services().items():
        if "database_url" in service.get("secrets", []) and image_of(service):
            assert service["environment"]["HALFTIME_SECRETS_DIR"] == "/run/secrets", name
        for file in re.findall(r"/run/secrets/(\w+)", json.dumps(service)):
            assert file in service["secrets"], name


def test_every_host_that_is_named_is_a_service_and_every_name_asked_under_is_allowed() -> None:
    text = FILE.read_text(encoding="utf-8")
    hosts = set(re.findall(r"http://([a-z]+)[:/]", text))
    assert hosts <= set(services())
    for name in ("forecaster", "board"):
        assert services()[name]["environment"]["HALFTIME_ALLOWED_HOSTS"] == json.dumps([name])


def test_every_service_waits_for_what_it_needs() -> None:
    for name, service in services().items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services()
            wanted = "service_completed_successfully" if needed in ONE_SHOT else None
            assert how["condition"] == (wanted or how["condition"]), name
        if "database_url" in service.get("secrets", []) and name not in {"postgres", "migrate", "deployments"}:
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name


@pytest.mark.parametrize("program", [poller, predictor])
def test_who_has_a_last_word_for_another_ends_before_it(program: Callable[[Settings], Service]) -> None:
    local = program(Settings(_env_file=None))  # type: ignore[call-arg]
    assert local.ends_before == ("prefect",)
    # Compose ends services in the other order than it starts them.
    assert set(local.ends_before) <= services()[local.name]["depends_on"].keys()


def health(name: str) -> str:
    """The health check in force: the service's, or its image's."""
    service = services()[name]
    image = image_of(service)
    if "healthcheck" not in service and image is not None:
        return Containerfile.read(image).healthcheck[-1]
    return " ".join(service["healthcheck"]["test"])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ONE_SHOT])
def test_a_health_check_asks_a_route_that_is_there(name: str) -> None:
    known = "".join(
        (ROOT / "infra" / f"{module}.py").read_text(encoding="utf-8") for module in ("programs_table", "tools_table")
    )
    asked = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/-]+)", health(name))
    if asked is None:
        assert name in {"postgres", "redis"}
    elif name == "worker":
        assert asked[1] == services()[name]["environment"]["PREFECT_WORKER_WEBSERVER_PORT"]
    elif name == "grafana":
        assert asked[2] == "/api/health"
    else:
        wanted = {**PORTS, "exporter": "exporter_port", "poller": "poller_metrics_port"}[name]
        assert int(asked[1]) == Settings.model_fields[wanted].default
        assert asked[2] in known


def test_the_programs_are_those_of_the_local_stack() -> None:
    modules = {name: services()[name]["command"][0] for name in NAMES if image_of(services()[name]) == "worker"}
    known = (ROOT / "infra" / "programs_table.py").read_text() + (ROOT / "infra" / "tools_table.py").read_text()
    for name, module in modules.items():
        assert name == "deployments" or f'"{module}"' in known, name
    assert f"work-pool create {POOL} " in services()["deployments"]["command"][0]
    assert POOL in services()["worker"]["command"]


def test_every_mounted_file_is_there_and_cannot_be_written_to() -> None:
    for name, service in services().items():
        for volume in service.get("volumes", []):
            source, *rest = volume.split(":")
            if source.startswith("."):
                assert rest[-1] == "ro", name
                assert (FILE.parent / source).is_file(), source
            else:
                assert source in compose()["volumes"], source


def test_what_prometheus_and_alertmanager_are_told_is_what_the_tool_makes() -> None:
    for path, text in compose_files.texts().items():
        assert path.read_text(encoding="utf-8") == text
    told = yaml.safe_load((compose_files.FOLDER / "prometheus.yml").read_text())
    targets = {target for job in told["scrape_configs"] for target in job["static_configs"][0]["targets"]}
    assert {target.split(":")[0] for target in targets} == {"board", "exporter", "forecaster", "poller", "predictor"}
    assert set(targets) | set(told["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]) <= {
        f"{name}:{Settings.model_fields[field].default}"
        for name, field in {**PORTS, "exporter": "exporter_port", "poller": "poller_metrics_port"}.items()
    }
    mounted = [volume.split(":")[1] for volume in services()["prometheus"]["volumes"]]
    assert set(told["rule_files"]) <= set(mounted)


def test_grafanas_source_differs_from_the_one_for_other_places_by_address_and_pace() -> None:
    ours = yaml.safe_load((ROOT / "infra" / "compose" / "datasource.yml").read_text())
    other = yaml.safe_load((ROOT / "monitoring" / "dashboards" / "datasource.yaml").read_text())
    told = yaml.safe_load((compose_files.FOLDER / "prometheus.yml").read_text())
    other["datasources"][0]["url"] = "http://prometheus:9091"
    other["datasources"][0]["jsonData"]["timeInterval"] = told["global"]["scrape_interval"]
    assert ours == other


def test_a_replayed_night_is_followed_by_three_settings() -> None:
    lines = (ROOT / "infra" / "compose" / "replay.env").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert told.pop("COMPOSE_PROFILES") == "replay"
    assert told.keys() <= variables()
    base = Settings(_env_file=None, feed="replay", home=ROOT / ".halftime")  # type: ignore[call-arg]
    assert told["HALFTIME_FEED_BASE_URL"] == f"http://127.0.0.1:{base.replay_port}/static/json/liveData"
    assert services()["replay"]["network_mode"] == "service:poller"


def test_secrets_are_made_once_and_kept_from_other_users(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "secrets"
    assert compose_secrets.main([str(folder)]) == 0
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert compose_secrets.main([str(folder)]) == 1
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    assert before["database_url"].startswith(DRIVER)
    assert before["redis_url"].split(":")[2].split("@")[0] in before["redis_conf"]
    words = [text for name, text in before.items() if name in {"api_key", "postgres_password", "grafana_password"}]
    assert len(set(words)) == 3


def test_a_program_takes_this_ones_place_with_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    (tmp_path / "shows.py").write_text("import os, sys; print(os.environ['WORD'], os.getpid(), *sys.argv[1:])")
    command = [sys.executable, "-m", "infra.with_secrets", f"WORD={tmp_path / 'secret'}", "--", "shows", "--port", "1"]
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.communicate()[0].split() == ["hush", str(process.pid), "--port", "1"]


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ("WORD", "is no NAME=FILE"),
        ("=x", "is no NAME=FILE"),
        ("WORD=/nowhere", "cannot be read"),
        ("WORD=/dev/null", "is empty"),
    ],
)
def test_a_secret_that_cannot_be_had_is_refused_by_its_name(pair: str, reason: str) -> None:
    with pytest.raises(with_secrets.SecretError, match=reason):
        with_secrets.read_variables([pair])
    assert with_secrets.main([pair, "--", "platform"]) == 2
    assert with_secrets.main([pair]) == 2
