"""Rows of docs/brief-defects.md that are habits of the source: read off the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import programs_table
from services.settings import ROOT, Settings

PACKAGES = ("models", "services", "bentos", "monitoring", "flows", "infra")
SQL_PACKAGES = ("services", "bentos", "monitoring", "flows")


def sources(packages: tuple[str, ...] = PACKAGES) -> Iterator[tuple[str, ast.Module]]:
    """Path below the root and syntax tree of every module; migrations are left out, DDL is their job."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """(the called expression as text, the call)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(tree: ast.Module) -> set[str]:
    """Top-level packages a module imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


def test_the_forecaster_is_served_by_its_import_string_with_as_many_workers_as_set(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql+psycopg2://u:p@127.0.0.1/x", data=None)
    command = programs_table.forecaster(settings).command()
    assert command[1:5] == ["-m", "bentoml", "serve", "bentos.forecaster:Forecaster"]
    decorators = [
        keyword
        for path, tree in sources(("bentos",))
        for name, call in calls(tree)
        if name == "bentoml.service"
        for keyword in call.keywords
    ]
    workers = [ast.unparse(keyword.value) for keyword in decorators if keyword.arg == "workers"]
    assert workers == ["get_settings().forecaster_workers"]


def test_nobody_asks_uvicorn_for_several_workers() -> None:
    for path, tree in sources():
        for name, call in calls(tree):
            assert name != "uvicorn.run", f"{path}:{call.lineno}"
            if name == "uvicorn.Config":
                assert "workers" not in {keyword.arg for keyword in call.keywords}, f"{path}:{call.lineno}"


def test_only_the_exporter_and_the_live_loops_open_a_port_for_metrics() -> None:
    openers = {path for path, tree in sources() for name, _ in calls(tree) if name.endswith("start_http_server")}
    assert openers == {"monitoring/exporter.py", "services/loop_metrics.py"}


def test_tables_are_made_by_migrations_alone() -> None:
    for path, tree in sources():
        for name, call in calls(tree):
            assert not name.endswith(("create_all", "drop_all")), f"{path}:{call.lineno}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "CREATE TABLE" in node.value:
                assert path == "services/idempotency.py", f"{path}:{node.lineno} makes a table outside of SQLite"


def test_every_use_of_an_engine_is_a_transaction() -> None:
    for path, tree in sources(SQL_PACKAGES):
        if "sqlalchemy" in imported(tree):
            found = [call.lineno for name, call in calls(tree) if name.endswith("engine.connect")]
            assert found == [], f"{path} opens a connection that nobody commits"


def test_no_plain_string_is_given_to_sqlalchemy() -> None:
    for path, tree in sources(SQL_PACKAGES):
        if "sqlalchemy" not in imported(tree):
            continue
        for name, call in calls(tree):
            if name.endswith("connection.execute"):
                plain = isinstance(call.args[0], ast.JoinedStr | ast.Constant)
                assert not plain, f"{path}:{call.lineno} must be text(...) or a statement"


def test_start_and_end_are_lifespans_not_events() -> None:
    for path, tree in sources():
        names = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "on_event"]
        assert names == [], path
        assert "fastapi" not in imported(tree), path


def test_the_time_of_day_is_always_asked_for_with_its_zone() -> None:
    for path, tree in sources():
        for name, call in calls(tree):
            assert not name.endswith(("utcnow", "utcfromtimestamp")), f"{path}:{call.lineno}"
            if name in ("datetime.now", "datetime.datetime.now"):
                assert call.args or call.keywords, f"{path}:{call.lineno} is local time without a zone"


def test_no_version_of_a_model_stands_in_the_source() -> None:
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Constant):
                targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
                named = any(ast.unparse(target).endswith("model_version") for target in targets)
                assert not (named and node.value.value), f"{path}:{node.lineno}"


@pytest.mark.parametrize("sign", ["[x]", "[X]", "\u2705", "\u2611", "\u2714"])
def test_no_list_arrives_ticked(sign: str) -> None:
    pages = list(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md"))
    assert [path.name for path in pages if sign in path.read_text(encoding="utf-8")] == []


def test_a_duration_is_never_measured_with_a_clock_that_can_be_set() -> None:
    # Only where something on disk has an age that must outlive the process is the time of day asked for as a number.
    asking = {path for path, tree in sources() for name, _ in calls(tree) if name == "time.time"}
    assert asking <= {"services/idempotency.py", "services/prediction_log.py"}


def test_no_weight_of_a_component_stands_in_the_serving_code() -> None:
    for path, tree in sources(("bentos", "services")):
        for name, call in calls(tree):
            if name.endswith("Weights"):
                given = [*call.args, *(keyword.value for keyword in call.keywords)]
                assert not [one for one in given if isinstance(one, ast.Constant)], f"{path}:{call.lineno}"
