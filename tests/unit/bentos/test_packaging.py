"""What is shipped: pins that agree with the lock, and imports that stay light."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement

from services.settings import ROOT

PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)")
HEAVY = ("torch", "evidently", "pandas", "mlflow", "prefect", "pyarrow", "sklearn", "scipy")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    return {plain(found[1]): found[2] for line in lines if (found := PIN.match(line))}


def loaded() -> dict[str, str | None]:
    """Modules in a fresh process after the service was imported: name and file."""
    code = (
        "import json, sys\n"
        "import bentos.forecaster\n"
        "print(json.dumps({name: getattr(module, '__file__', None) for name, module in sys.modules.items()}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return modules


def imports_of(file: Path) -> set[str]:
    """Top-level packages that ``file`` imports when it is loaded."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


def test_pins_of_the_bento_are_those_of_the_lock() -> None:
    lock, ours = pins("requirements.lock"), pins("bentos/requirements.txt")
    assert ours
    assert {name: lock.get(name) for name in ours} == ours


def test_service_imports_nothing_heavy() -> None:
    assert not {name for name in loaded() if name.partition(".")[0] in HEAVY}


def test_everything_our_code_imports_is_brought_by_the_requirements() -> None:
    brought: set[str] = set()
    todo = list(pins("bentos/requirements.txt"))
    while todo:
        name = plain(todo.pop())
        if name in brought:
            continue
        brought.add(name)
        try:
            wanted = requires(name) or []
        except PackageNotFoundError:  # for another platform or Python
            continue
        todo += [one.name for text in wanted if (one := Requirement(text)).marker is None or one.marker.evaluate()]
    files = [Path(file) for file in loaded().values() if file and Path(file).is_relative_to(ROOT)]
    ours = {file for file in files if file.relative_to(ROOT).parts[0] in ("bentos", "models", "services")}
    assert len(ours) > 20
    homes = packages_distributions()
    third = {name for file in ours for name in imports_of(file)} & set(homes)
    assert {"bentoml", "numpy", "sqlalchemy"} <= third
    assert {name for name in third if not {plain(home) for home in homes[name]} & brought} == set()
