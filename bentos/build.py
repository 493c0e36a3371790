"""A bento that serves one version and no other: the code, the bundle, and a pin that names both version and digest.

What serves is the same as ever; where it finds the folder ``pinned`` beside its code it serves that, or nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from models.bundle import load_bundle
from services.settings import ROOT

PINNED, PIN, BUNDLE = "pinned", "pin.json", "bundle"
PACKAGES = ("bentos", "models", "services")


class BuildFailed(RuntimeError):
    """bentoml did not build; the message has what it said."""


class Pin(NamedTuple):
    """Which version is served, and the digest its bundle must have."""

    version: str
    digest: str


def read_pin(folder: Path = ROOT / PINNED) -> Pin | None:
    """The pin of this copy of the code; None when it follows the alias. Raises ValueError for a pin that is none."""
    place = folder / PIN
    if not place.is_file():
        return None
    try:
        body = json.loads(place.read_text())
        return Pin(str(body["version"]), str(body["digest"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{place} is no pin (version and digest as JSON): build the bento again") from error


def build_pinned(bundle: Path, pin: Pin, bento_home: Path) -> str:
    """Builds a bento of ``bundle`` in ``bento_home``; its tag. Raises BundleError, BuildFailed."""
    load_bundle(bundle, pin.digest)
    with tempfile.TemporaryDirectory(prefix="halftime-bento-") as name:
        context = Path(name)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, context / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(bundle, context / PINNED / BUNDLE)
        (context / PINNED / PIN).write_text(json.dumps(pin._asdict(), indent=1) + "\n")
        recipe = (ROOT / "bentos" / "bentofile.yaml").read_text()
        kept = recipe.replace("include:\n", f'include:\n  - "/{PINNED}/**"\n', 1)
        (context / "bentofile.yaml").write_text(kept)
        env = os.environ | {"BENTOML_HOME": str(bento_home), "BENTOML_DO_NOT_TRACK": "True"}
        command = [sys.executable, "-m", "bentoml", "build", "-f", "bentofile.yaml", "--output", "tag"]
        command += ["--version", f"v{pin.version}-{pin.digest[:12]}", "."]
        done = subprocess.run(command, cwd=context, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"bentoml build failed: {done.stderr.strip()[-1500:]}")
    return done.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
