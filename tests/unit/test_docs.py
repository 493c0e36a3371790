"""What the pages say is there is there: links, commands, settings, examples, tables, alerts."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]
from pydantic import AliasChoices

from bentos.answering import ServedModel, answer
from bentos.contracts import PREDICTIONS, PredictRequest, RecordActualRequest, Request, read_request
from bentos.edge import MAX_BODY_BYTES
from bentos.openapi import document
from flows import orchestration
from flows.cli import app
from infra import services_table
from services.answer import ErrorBody, Prediction, Recorded
from services.schema import metadata
from services.settings import ROOT, Settings
from tests.support.rows import NOON
from tests.support.small_model import small_ensemble

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
IDS = [path.relative_to(ROOT).as_posix() for path in PAGES]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PACKAGES = "models|services|flows|bentos|monitoring|infra|tests|docs|benchmarks"


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page(name: str) -> str:
    return text_of(ROOT / name)


@cache
def code_of(path: Path) -> tuple[str, ...]:
    """Every line of fenced code and every inline code span."""
    fenced = [line for _, block in FENCE.findall(text_of(path)) for line in block.splitlines()]
    return (*fenced, *re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(path))))


def anchors(path: Path) -> set[str]:
    """Anchors as hosts of Markdown make them of headings."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in HEADING.findall(text_of(path))
    }


@cache
def commands() -> dict[str, Any]:
    return dict(typer.main.get_group(app).commands)


def variables() -> dict[str, str]:
    """Environment variable -> name of its setting."""
    found = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        found[str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"HALFTIME_{name.upper()}"] = name
    return found


def first_column(text: str, heading: str) -> list[str]:
    """Code spans in the first column of the tables below a heading, up to the next heading of its rank."""
    rank = heading.split(" ")[0]
    section = re.split(rf"^{rank} ", text.split(f"{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_link_leads_to_something(path: Path) -> None:
    for target in LINK.findall(text_of(path)):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_command_named_exists_with_its_options(path: Path) -> None:
    for code in code_of(path):
        for name, rest in re.findall(r"\./halftime(?: +([a-z][a-z-]*))?([^#]*)", code):
            if not name:
                continue
            assert name in commands(), code
            known = {option for parameter in commands()[name].params for option in parameter.opts} | {"--help"}
            asked = rest.split(" -- ")[0]
            assert set(re.findall(r"(?<!\S)(--[a-z-]+)", asked)) <= known, code


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_make_target_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
    for code in code_of(path):
        found = re.match(r"make ((?:[a-z]+ ?)+)(?:ARGS=.*|#.*|)$", code.strip())
        if found is not None:
            assert set(found[1].split()) <= targets, code


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_variable_named_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\bHALFTIME_[A-Z0-9_]+", text_of(path)))
    assert named <= set(variables())


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_file_and_module_named_exists(path: Path) -> None:
    for code in code_of(path):
        for name in re.findall(rf"(?<![\w./-])((?:{PACKAGES})/[\w./-]*)", code):
            assert (ROOT / name).exists(), code
        for module in re.findall(r"python -m ([\w.]+)", code):
            if module.split(".")[0] in PACKAGES.split("|"):
                place = ROOT / module.replace(".", "/")
                assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), code


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_no_page_names_a_path_of_one_machine(path: Path) -> None:
    found = re.findall(r"(?<![\w.])/(?:work|root|home|tmp|Users|mnt)/\S*", text_of(path))
    assert found == []


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_an_example_that_names_it_and_stands_in_the_readme(name: str) -> None:
    assert f"Example: ./halftime {name}" in (commands()[name].help or "")
    assert f"`./halftime {name}" in page("README.md")


def test_settings_are_in_the_table_with_their_defaults() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \| [^|]+ \|$", page("docs/settings.md"), re.MULTILINE)
    shown = {name: default.strip().strip("`") for name, default in rows}
    assert len(rows) == len(shown)
    wanted = {}
    for variable, name in variables().items():
        default = Settings.model_fields[name].default
        wanted[variable] = "unset" if default is None else "[]" if default == () else str(default)
    wanted["HALFTIME_HOME"] = ".halftime` in the checkout"
    assert shown == wanted


def test_the_readme_names_the_real_ports() -> None:
    ports = {
        port
        for name in Settings.model_fields
        if name.endswith("_port")
        for port in [Settings.model_fields[name].default]
    }
    assert {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", page("README.md"))} <= ports


def test_every_service_of_the_stack_is_described() -> None:
    assert set(first_column(page("docs/operations.md"), "## The local stack")) == set(services_table.MAKERS)


def test_every_check_of_the_doctor_is_described() -> None:
    found: set[str] = set()
    for name in ("doctor", "machine_checks", "server_checks"):
        for node in ast.walk(ast.parse(page(f"infra/{name}.py"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("good", "bad", "warn"):
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(str(first.value))
    assert found
    assert set(first_column(page("docs/operations.md"), "## What doctor asks")) == found


def test_every_alert_is_described_with_its_severity() -> None:
    rules = yaml.safe_load(page("monitoring/rules/halftime.yml"))
    every = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    alerts = {rule["alert"]: rule["labels"]["severity"] for rule in every}
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \|", page("docs/runbooks/README.md"), re.MULTILINE)
    assert dict(listed) == alerts


def test_every_table_and_package_is_described() -> None:
    assert set(first_column(page("docs/architecture.md"), "## Tables")) == set(metadata.tables)
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks"}
    assert {name.rstrip("/") for name in first_column(page("docs/architecture.md"), "## Packages")} == ours


def test_every_upper_pin_is_explained() -> None:
    pinned = set()
    for line in page("requirements.in").splitlines():
        requirement = line.partition(";")[0].strip()
        if found := re.match(r"([A-Za-z0-9_.-]+)", requirement):
            pinned |= {found[1] + limit for limit in re.findall(r"<[0-9.]+|==[0-9.]+", requirement)}
    assert set(first_column(page("docs/dependencies.md"), "## Upper limits")) == pinned
    assert "sqlalchemy<2.1" in pinned


def test_version_floors_are_those_of_the_requirements() -> None:
    rows = re.findall(r"^\| (\w+) \| ([0-9.]+) \|", page("SECURITY.md"), re.MULTILINE)
    assert rows
    for name, floor in rows:
        assert re.search(rf"^{name}>={re.escape(floor)}(,|$)", page("requirements.in"), re.MULTILINE), name


def test_the_changelog_has_the_version_of_the_project() -> None:
    version = tomllib.loads(page("pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", page("CHANGELOG.md"), re.MULTILINE)


def curls() -> list[tuple[str, str]]:
    """(path, body) of every curl on the API's page."""
    blocks = [block for _, block in FENCE.findall(page("docs/forecaster-api.md")) if block.startswith("curl")]
    found = [re.search(r"http://127\.0\.0\.1:8080(/\w+).*-d '([^']+)'", block, re.DOTALL) for block in blocks]
    return [(one[1], one[2]) for one in found if one is not None]


def test_examples_of_the_api_are_taken_and_answered() -> None:
    bodies: dict[str, type[Request]] = {"/predict": PredictRequest, "/record_actual": RecordActualRequest}
    model = ServedModel("1", "d" * 64, small_ensemble(), "a test")
    assert {path for path, _ in curls()} == set(bodies)
    for path, body in curls():
        request = read_request(bodies[path], body.encode())
        if isinstance(request, PredictRequest):
            given = answer(model, request, request_id="docs", prediction_id=PREDICTIONS, now=NOON)
            assert given.minute == request.asked_minute


def test_the_answers_shown_have_the_form_of_answers() -> None:
    shown = [json.loads(block) for kind, block in FENCE.findall(page("docs/forecaster-api.md")) if kind == "json"]
    prediction, error = shown
    assert set(prediction) == set(Prediction.model_fields)
    Prediction.model_validate_json(json.dumps(prediction))
    assert set(error) == set(ErrorBody.model_fields)
    ErrorBody.model_validate(error)


def test_python_on_the_pages_can_be_read_and_imports_what_exists() -> None:
    blocks = [block for path in PAGES for kind, block in FENCE.findall(text_of(path)) if kind == "python"]
    assert blocks
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                defined = ast.parse(page(f"{str(node.module).replace('.', '/')}.py")).body
                names = {one.name for one in defined if isinstance(one, ast.ClassDef | ast.FunctionDef)}
                assert {alias.name for alias in node.names} <= names


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("## POST /predict", set(PredictRequest.model_fields) | set(Prediction.model_fields)),
        ("## POST /record_actual", set(RecordActualRequest.model_fields) | set(Recorded.model_fields)),
    ],
)
def test_every_field_of_the_api_is_described(heading: str, fields: set[str]) -> None:
    assert set(first_column(page("docs/forecaster-api.md"), heading)) == fields


def test_every_status_and_page_of_the_api_is_described() -> None:
    described = document()
    statuses = {code for path in described["paths"].values() for one in path.values() for code in one["responses"]}
    section = page("docs/forecaster-api.md").split("## Errors\n", 1)[1]
    assert statuses - {"200"} <= set(re.findall(r"^\| (\d{3}) \|", section, re.MULTILINE))
    shown = {name.removeprefix("GET ") for name in first_column(page("docs/forecaster-api.md"), "## Pages")}
    assert shown == {path for path, methods in described["paths"].items() if "get" in methods}
    assert f"{MAX_BODY_BYTES // 1024} KiB" in section


def test_the_flow_runs_that_a_page_starts_are_deployments_with_these_parameters() -> None:
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    flows = [getattr(orchestration, one["entrypoint"].rpartition(".")[2]) for one in declared]
    deployments = {f"{flow.name}/{one['name']}": flow for flow, one in zip(flows, declared, strict=True)}
    asked = re.findall(r"prefect deployment run (\S+)((?: --param \w+=\S+)*)", page("docs/deploy.md"))
    assert {name for name, _ in asked} >= {"backfill-history/on-demand", "train-models/on-demand"}
    for name, parameters in asked:
        assert set(re.findall(r"--param (\w+)=", parameters)) <= set(deployments[name].parameters.properties), name
