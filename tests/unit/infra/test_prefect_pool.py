"""One prefect.yaml for both kinds of work pool, and the pools themselves."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from prefect.utilities.templating import apply_values

from infra import prefect_pool
from infra.prefect_pool import POOL, PrefectPoolError, ensure_pool, job_template
from infra.programs_table import deployments, worker
from services.settings import ROOT, Settings
from tests.support.manifests import BASE

TEMPLATE = BASE / "base-job-template.json"
WRITTEN: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]


@pytest.mark.parametrize("pool", [POOL, "halftime-kubernetes"])
def test_every_deployment_goes_to_the_pool_that_one_variable_names(pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFTIME_WORK_POOL", pool)
    made = [apply_values(one, os.environ, remove_notset=False) for one in WRITTEN]  # as `prefect deploy` does
    assert [one["work_pool"] for one in made] == [{"name": pool}] * len(WRITTEN)
    assert "$" not in json.dumps(made), "nothing else is left to fill in"
    assert [one | {"work_pool": None} for one in made] == [one | {"work_pool": None} for one in WRITTEN]


def test_the_local_stack_names_its_own_pool_unless_told_otherwise(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, database_url="postgresql+psycopg2://u@h/d")  # type: ignore[call-arg]
    assert settings.work_pool == POOL
    for name in (POOL, "another"):
        told = settings.model_copy(update={"work_pool": name})
        assert deployments(told).env["HALFTIME_WORK_POOL"] == name
        assert f"--pool {name} --type process" in " ".join(worker(told).command())


class Server:
    """Prefect's work pools, as far as ours are made there."""

    def __init__(self, present: str | None = None, status: int = 201) -> None:
        self.present, self.status = present, status
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.path, body))
        if request.method == "POST":
            return httpx.Response(409 if self.present else self.status, text="said no")
        return httpx.Response(200, json={"type": self.present}) if request.method == "GET" else httpx.Response(204)


def answered_by(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_pool.httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(server)))


def test_a_pool_that_is_there_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(present="process")
    answered_by(server, monkeypatch)
    ensure_pool("http://prefect/api")
    assert server.asked == [("POST", "/api/work_pools/", {"name": POOL, "type": "process"})]


def test_a_pool_with_a_template_is_made_with_it_or_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for present in (None, "kubernetes"):
        server = Server(present=present)
        answered_by(server, monkeypatch)
        ensure_pool("http://prefect/api", "k", "kubernetes", {"variables": {}})
        method, path, body = server.asked[-1]
        assert body["base_job_template"] == {"variables": {}}
        assert (method, path) == (("PATCH", "/api/work_pools/k") if present else ("POST", "/api/work_pools/"))


def test_a_pool_of_another_type_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answered_by(Server(present="process"), monkeypatch)
    with pytest.raises(PrefectPoolError, match="work pool k is of type process, not kubernetes: name another"):
        ensure_pool("http://prefect/api", "k", "kubernetes", {})


def test_what_the_server_says_no_to_is_told_with_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answered_by(Server(status=422), monkeypatch)
    with pytest.raises(PrefectPoolError, match="refused work pool k: 422 said no"):
        ensure_pool("http://prefect/api", "k")


def test_the_template_runs_the_image_that_it_is_given() -> None:
    made = job_template(TEMPLATE, "registry.example.com/worker@sha256:1")
    assert made["variables"]["properties"]["image"]["default"] == "registry.example.com/worker@sha256:1"
    (container,) = made["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "{{ image }}"


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"variables": {"properties": {}}}'])
def test_what_is_no_template_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(PrefectPoolError, match="is no template of Jobs"):
        job_template(tmp_path / "file", "image")
    assert prefect_pool.main([str(tmp_path / "file"), "image"]) == 2
    assert prefect_pool.main([]) == 2
    assert "usage: python -m infra.prefect_pool" in capsys.readouterr().err
