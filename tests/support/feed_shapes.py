"""The shape of feed files: which fields an object has and of which types, without any of the data.

A shape maps each group (a file, a scoreboard's game, an action of a type) to its fields: ``"homeTeam.score": "int"``,
``"assistTotal?": "int"`` where the field may be missing, ``"seed": "int|null"``. ``feed_shapes.json`` holds the shape
of the recorded live files; run this module with their folder to write it anew.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

STORED = Path(__file__).with_suffix(".json")
Shape = dict[str, dict[str, str]]
_NAMES = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "object"}


class _Group:
    def __init__(self) -> None:
        self.objects: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.types: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, value: Any, path: str = "") -> None:
        self.types[path].add(_NAMES[type(value)])
        if isinstance(value, dict):
            self.objects[path] += 1
            for name, inner in value.items():
                below = f"{path}.{name}".lstrip(".")
                self.seen[below] += 1
                self.add(inner, below)
        elif isinstance(value, list):
            for inner in value:
                self.add(inner, f"{path}[]")

    def fields(self) -> dict[str, str]:
        out = {}
        for path, types in self.types.items():
            if path:
                holder = path.rpartition(".")[0]
                optional = not path.endswith("[]") and self.seen[path] < self.objects[holder]
                out[path + "?" * optional] = "|".join(sorted(types))
        return dict(sorted(out.items()))


def shapes_of(scoreboards: Iterable[bytes], playbyplays: Iterable[bytes]) -> Shape:
    """The shape of these files together."""
    groups: defaultdict[str, _Group] = defaultdict(_Group)
    for body in scoreboards:
        file = json.loads(body)
        for game in file["scoreboard"].pop("games"):
            groups["scoreboard game"].add(game)
        groups["scoreboard file"].add(file)
    for body in playbyplays:
        file = json.loads(body)
        for action in file["game"].pop("actions"):
            groups[f"action {action['actionType']}"].add(action)
        groups["playbyplay file"].add(file)
    return {name: groups[name].fields() for name in sorted(groups)}


def recorded_shapes(live: Path) -> Shape:
    """The shape of the recorded live files in ``live``."""
    scoreboards = (path.read_bytes() for path in sorted((live / "scoreboard").glob("*.json")))
    return shapes_of(scoreboards, (path.read_bytes() for path in sorted((live / "playbyplay").glob("*.json"))))


def stored_shapes() -> Shape:
    """The shape that is kept with the tests."""
    shape: Shape = json.loads(STORED.read_text())
    return shape


def departures(shape: Shape, reference: Shape) -> list[str]:
    """What ``shape`` has otherwise than ``reference``: unknown fields, other types, missing fields."""
    found: list[str] = []
    for group in sorted(set(shape) & set(reference)):
        have = {path.rstrip("?"): types for path, types in shape[group].items()}
        known = {path.rstrip("?"): types for path, types in reference[group].items()}
        for path, types in have.items():
            if path not in known:
                found.append(f"{group}: {path} is unknown")
            elif not set(types.split("|")) <= set(known[path].split("|")):
                found.append(f"{group}: {path} is {types}, not {known[path]}")
        for path in reference[group]:
            inside_a_list = "[]" in path and path.partition("[]")[0] + "[]" not in have
            if not path.endswith(("?", "[]")) and not inside_a_list and path not in shape[group]:
                found.append(f"{group}: {path} is missing")
    return found


if __name__ == "__main__":
    STORED.write_text(json.dumps(recorded_shapes(Path(sys.argv[1])), indent=1) + "\n")
