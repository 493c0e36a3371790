"""What a Containerfile says, as far as tests ask: each instruction of its stages, and what the last one makes."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from pathspec import PathSpec

from infra.lock_parts import FOLDER
from services.settings import ROOT

IMAGES = ("forecaster", "board", "exporter", "worker")


@dataclass(frozen=True)
class Containerfile:
    """The instructions of each stage, in order, continued lines joined: (name, arguments)."""

    stages: tuple[tuple[tuple[str, str], ...], ...]

    @classmethod
    def read(cls, image: str) -> Containerfile:
        """That of an image of ours."""
        text = (FOLDER / f"{image}.Containerfile").read_text(encoding="utf-8")
        lines = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
        instructions = [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]
        stages: list[tuple[tuple[str, str], ...]] = []
        for one in instructions:
            stages = [*stages, ()] if one[0] == "FROM" else stages
            stages[-1] = (*stages[-1], one)
        return cls(tuple(stages))

    def all(self, name: str, stage: int = -1) -> list[str]:
        """Arguments of each instruction of that name in a stage, the last one unless said."""
        return [arguments for found, arguments in self.stages[stage] if found == name]

    def one(self, name: str) -> str:
        """Arguments of the only instruction of that name in the last stage."""
        (arguments,) = self.all(name)
        return arguments

    @cached_property
    def env(self) -> dict[str, str]:
        """What ENV sets."""
        return dict(pair.split("=", 1) for arguments in self.all("ENV") for pair in arguments.split())

    @cached_property
    def entrypoint(self) -> list[str]:
        """ENTRYPOINT and CMD in exec form."""
        words: list[str] = []
        for name in ("ENTRYPOINT", "CMD"):
            for arguments in self.all(name):
                words += json.loads(arguments)
        return words

    @cached_property
    def healthcheck(self) -> list[str]:
        """The command of HEALTHCHECK in exec form."""
        words: list[str] = json.loads(self.one("HEALTHCHECK").partition("CMD ")[2])
        return words

    @cached_property
    def copies(self) -> list[tuple[str, str]]:
        """Source and destination of each COPY out of the checkout, in any stage."""
        found = [arguments.split() for stage in range(len(self.stages)) for arguments in self.all("COPY", stage)]
        return [(words[0], words[1]) for words in found if not words[0].startswith("--from=")]

    def sources(self) -> list[tuple[Path, str]]:
        """Each file copied out of the checkout into the last stage, and its path below WORKDIR."""
        made = []
        for words in (arguments.split() for arguments in self.all("COPY")):
            if words[0].startswith("--from="):
                continue
            source, target = words
            if (ROOT / source).is_dir():
                files = [path for path in sorted((ROOT / source).rglob("*")) if path.is_file() and kept(path)]
                made += [(path, f"{target}/{path.relative_to(ROOT / source).as_posix()}") for path in files]
            else:
                made += [
                    (path, f"{target}{path.name}".removeprefix("./"))
                    for path in sorted(ROOT.glob(source))
                    if kept(path)
                ]
        return made

    def lay(self, folder: Path) -> None:
        """Copy what the last stage copies out of the checkout, below ``folder``."""
        for path, target in self.sources():
            there = folder / target
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)


@cache
def _ignored() -> PathSpec:
    # Docker anchors every pattern at the root and git only those with a slash; else they mean the same here.
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    return PathSpec.from_lines("gitignore", [re.sub(r"^(!?)(?!\*\*)", r"\1/", one) for one in patterns])


def kept(path: Path) -> bool:
    """Whether .dockerignore lets a file of the checkout into a build."""
    return not _ignored().match_file(path.relative_to(ROOT).as_posix())
