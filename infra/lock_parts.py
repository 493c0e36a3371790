"""The part of requirements.lock that each container image needs: ``python -m infra.lock_parts`` writes them.

`infra/containers/parts.toml` names the roots; what those need in turn is read from the installed packages, and every
version comes from the lock, so an image holds what was tested together or is not built. ``--check`` compares the files
with what would be written, ``--sizes`` prints what each part takes once installed.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from infra.made_files import write_or_check
from services.settings import ROOT

FOLDER = ROOT / "infra" / "containers"
TABLE = FOLDER / "parts.toml"
LOCK = ROOT / "requirements.lock"
HEAD = "# Part of requirements.lock for the image {image}: made by `python -m infra.lock_parts`, not by hand.\n"
# The images' Python, its first release and theirs: what either needs is taken, and its own marker decides.
PYTHONS = ("3.11.0", "3.11.14")


class LockPartError(ValueError):
    """A part that cannot be made; the message names the package and what to do."""


@dataclass(frozen=True)
class Part:
    """What parts.toml says of an image: modules started there, packages they import, and imports that never happen."""

    entry: tuple[str, ...]
    roots: tuple[str, ...]
    without: Mapping[str, str] = field(default_factory=dict)


def read_parts(table: Path = TABLE) -> dict[str, Part]:
    """Image -> its part. Raises OSError, KeyError and tomllib.TOMLDecodeError for a table that is none."""
    parts = {}
    for image, said in tomllib.loads(table.read_text(encoding="utf-8")).items():
        roots = list(said["roots"])
        if "requirements" in said:
            roots += [Requirement(line).name for line in lock_lines(ROOT / said["requirements"]).values()]
        parts[image] = Part(tuple(said["entry"]), tuple(roots), said.get("without", {}))
    return parts


def lock_lines(path: Path = LOCK) -> dict[NormalizedName, str]:
    """Package -> its line in a file of pinned requirements. Raises OSError, InvalidRequirement."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return {canonicalize_name(Requirement(line).name): line for line in lines if line and not line.startswith("#")}


def closure(roots: Iterable[str], locked: Iterable[NormalizedName]) -> set[NormalizedName]:
    """The roots and all that they need, extras too, on the images' platform.

    Raises LockPartError for a package that the lock lacks or that is not installed here.
    """
    known = set(locked)
    found: set[tuple[NormalizedName, str]] = set()
    todo = [(one, extra) for root in roots for one, extra in _named(Requirement(root))]
    while todo:
        item = todo.pop()
        if item in found:
            continue
        name, extra = item
        if name not in known:
            raise LockPartError(f"{name} is needed and not in {LOCK.name}: add it there, or take its root out")
        found.add(item)
        todo += [one for need in _needs(name) if _applies(need.marker, extra) for one in _named(need)]
    return {name for name, _ in found}


def part_text(image: str, part: Part, lines: Mapping[NormalizedName, str]) -> str:
    """What the image's lock says: the lines of the whole lock that it needs, in its order. Raises LockPartError."""
    wanted = closure(part.roots, lines)
    return HEAD.format(image=image) + "".join(f"{line}\n" for name, line in lines.items() if name in wanted)


def part_file(image: str) -> Path:
    """Where the image's lock is."""
    return FOLDER / f"{image}.lock"


def installed_bytes(names: Iterable[NormalizedName]) -> int:
    """What these packages take once installed, without compiled modules, by their own records."""
    total = 0
    for name in names:
        files = (_installed(name).files or []) if _is_installed(name) else []
        total += sum(file.size or 0 for file in files)
    return total


def _named(need: Requirement) -> Iterator[tuple[NormalizedName, str]]:
    """A package without extras, and with each that is asked for."""
    name = canonicalize_name(need.name)
    yield name, ""
    yield from ((name, extra) for extra in sorted(need.extras))


@cache
def _needs(name: NormalizedName) -> tuple[Requirement, ...]:
    # A package whose marker leaves it out of this interpreter has no record here; none of ours needs anything.
    return tuple(Requirement(text) for text in _installed(name).requires or ()) if _is_installed(name) else ()


def _applies(marker: Marker | None, extra: str) -> bool:
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for environment in _environments())


@cache
def _environments() -> tuple[dict[str, str], ...]:
    """What markers are judged by: the images' platform and Python, whatever runs this."""
    here = {name: str(value) for name, value in default_environment().items()}
    there = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
    python = {"python_version": "3.11", "implementation_name": "cpython", "platform_python_implementation": "CPython"}
    return tuple(here | there | python | {"python_full_version": version} for version in PYTHONS)


@cache
def _is_installed(name: NormalizedName) -> bool:
    try:
        _installed(name)
    except metadata.PackageNotFoundError:
        marker = Requirement(lock_lines()[name]).marker
        if marker is None or marker.evaluate():
            raise LockPartError(f"{name} is not installed here: run `make venv`, then this again") from None
        return False
    return True


def _installed(name: NormalizedName) -> metadata.Distribution:
    return metadata.distribution(name)


def main(arguments: list[str]) -> int:
    """Write the parts, or as asked; 1 when ``--check`` finds one that differs."""
    lines, parts = lock_lines(), read_parts()
    if "--sizes" in arguments:
        for image, part in parts.items():
            wanted = closure(part.roots, lines)
            print(f"{image:<12}{len(wanted):>5} packages{installed_bytes(wanted) / 1e6:>9.0f} MB")  # noqa: T201
        return 0
    texts = {part_file(image): part_text(image, part, lines) for image, part in parts.items()}
    return write_or_check("infra.lock_parts", texts, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
