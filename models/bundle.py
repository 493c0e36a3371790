"""Write and load a bundle: the whole forecaster as one manifest and plain arrays.

The digest of the manifest names the bundle, and the manifest holds the digest of every array, so one digest vouches
for all bytes. After loading, the model must answer its golden inputs as it did when it was written.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.bundle_format import (
    FORMAT,
    MANIFEST,
    MAX_ARRAY_BYTES,
    MAX_MANIFEST_BYTES,
    BadArray,
    BadManifest,
    BundleError,
    BundleExists,
    DigestMismatch,
    GoldenMismatch,
    Manifest,
    MissingFile,
    TooLarge,
    UnknownFormat,
    canonical_json,
    parse_manifest,
    read_limited,
    sha256,
)
from models.bundle_parts import ARRAYS, Arrays, from_npy, put_together, take_apart, to_npy
from models.conformal import games_needed
from models.ensemble import Ensemble
from models.forecast import ForecastError

__all__ = [
    "BadArray", "BadManifest", "BundleError", "BundleExists", "DigestMismatch", "GoldenMismatch", "GoldenTolerance",
    "Manifest", "MissingFile", "TooLarge", "UnknownFormat", "load_bundle", "read_manifest", "write_bundle",
]  # fmt: skip

GOLDEN_INPUTS = 24
# Points: the network answers in single precision, in which another processor's sums may round otherwise.
GOLDEN_TOLERANCE = 1e-4
_ALPHAS = (0.05, 0.1, 0.2, 0.5)
_NUMBERS = ("point", "lower", "upper", "dejavu", "lstm", "home_leads")


class GoldenTolerance(UserWarning):
    """Golden answers differ in their last bits: another processor or numerical library than when they were written."""


def write_bundle(ensemble: Ensemble, folder: Path | str, extra_manifest: Mapping[str, Any]) -> str:
    """Write ``ensemble`` to the new ``folder`` and give back the bundle's digest.

    ``extra_manifest`` must name the ``code_version``; the rest (spec, figures) is kept under ``extra``. The folder
    appears complete or not at all. Raises BundleExists, BadManifest, TooLarge.
    """
    target = Path(folder)
    if target.exists():
        raise BundleExists(f"{target} is there already: a bundle is never written over, choose another folder")
    extra = dict(extra_manifest)
    code_version = extra.pop("code_version", None)
    if not isinstance(code_version, str) or not code_version:
        raise BadManifest(f"extra_manifest has code_version {code_version!r}: name the code that trained this")
    arrays, described = take_apart(ensemble)
    files = {name: to_npy(array) for name, array in arrays.items()}
    for name, content in files.items():
        if len(content) > MAX_ARRAY_BYTES:
            raise TooLarge(f"{name} has {len(content)} bytes, at most {MAX_ARRAY_BYTES} can be loaded again")
    manifest = canonical_json(
        {
            **described,
            "format": FORMAT,
            "arrays": {name: {"sha256": sha256(content), "bytes": len(content)} for name, content in files.items()},
            "golden": _golden(ensemble),
            "code_version": code_version,
            "extra": extra,
        }
    )
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    draft.mkdir(parents=True)
    try:
        for name, content in files.items():
            (draft / f"{name}.npy").write_bytes(content)
        (draft / MANIFEST).write_bytes(manifest)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return sha256(manifest)


def read_manifest(folder: Path | str, expect_digest: str | None = None) -> Manifest:
    """The manifest alone. Raises MissingFile, TooLarge, DigestMismatch, BadManifest."""
    return parse_manifest(read_limited(Path(folder) / MANIFEST, MAX_MANIFEST_BYTES), expect_digest)


def load_bundle(folder: Path | str, expect_digest: str | None = None) -> Ensemble:
    """The ensemble in ``folder``, every byte checked against its digest and the golden answers given again.

    ``expect_digest`` is the bundle's digest as the registry or a prediction row names it. Warns GoldenTolerance when
    answers differ by less than 1e-4 points. Raises BundleError.
    """
    manifest = read_manifest(folder, expect_digest)
    ensemble = put_together(_read_arrays(Path(folder), manifest), manifest)
    if ensemble.calibration_id != manifest.calibration_id:
        raise BadManifest(
            f"calibration {ensemble.calibration_id} was loaded, the manifest names {manifest.calibration_id}"
        )
    _check_golden(ensemble, manifest.body["golden"])
    ensemble.warm()
    return ensemble


def _read_arrays(folder: Path, manifest: Manifest) -> Arrays:
    listed = manifest.body["arrays"]
    if not isinstance(listed, dict) or set(listed) != set(ARRAYS):
        raise BadManifest(f"the manifest must list exactly these arrays: {', '.join(ARRAYS)}")
    arrays: Arrays = {}
    for name in ARRAYS:
        entry = listed[name]
        if not isinstance(entry, dict) or set(entry) != {"sha256", "bytes"}:
            raise BadManifest(f"the manifest's entry of {name} needs sha256 and bytes")
        content = read_limited(folder / f"{name}.npy", MAX_ARRAY_BYTES)
        if len(content) != entry["bytes"] or sha256(content) != entry["sha256"]:
            raise DigestMismatch(f"{name}.npy is not the file the manifest names: fetch the bundle again")
        arrays[name] = from_npy(name, content)
    return arrays


def _golden(ensemble: Ensemble) -> list[dict[str, Any]]:
    """Questions over remembered games, all supported minutes in turn, every other one with a rating, two of three with
    somebody who has the ball; with answers."""
    memory, minutes = ensemble.mixture.dejavu, ensemble.minutes
    smallest = min(len(games) for games in ensemble.calibration.values())
    alphas = [alpha for alpha in _ALPHAS if games_needed(alpha) <= smallest]
    if not alphas:
        raise BadManifest(f"a calibration set has {smallest} games, too few for alpha {_ALPHAS[-1]}: calibrate on more")
    golden = []
    for turn in range(GOLDEN_INPUTS):
        row = turn * (len(memory.game_id) - 1) // (GOLDEN_INPUTS - 1)
        minute = minutes[-1 - turn % len(minutes)]
        question: dict[str, Any] = {
            "pattern": memory.margins[row, 1 : minute + 1].tolist(),
            "minute": minute,
            "alpha": alphas[turn % len(alphas)],
            "rating": float(memory.ratings[row]) + 0.25 if turn % 2 else None,
            "possession": turn % 3 - 1,
        }
        golden.append({"ask": question, "answer": _answer(ensemble, question)})
    return golden


def _answer(ensemble: Ensemble, question: Mapping[str, Any]) -> dict[str, Any]:
    forecast = ensemble.forecast(**question)
    return {
        "point": forecast.point,
        "lower": forecast.interval.lower,
        "upper": forecast.interval.upper,
        "dejavu": forecast.components.dejavu,
        "lstm": forecast.components.lstm,
        "similar": [game.game_id for game in forecast.similar],
        "home_leads": forecast.distribution.home_leads,
    }


def _check_golden(ensemble: Ensemble, golden: object) -> None:
    if not isinstance(golden, list) or len(golden) < GOLDEN_INPUTS:
        raise BadManifest(f"the manifest needs at least {GOLDEN_INPUTS} golden inputs")
    worst = 0.0
    for place, item in enumerate(golden):
        try:
            now, then = _answer(ensemble, item["ask"]), item["answer"]
            gap = max(abs(now[name] - then[name]) for name in _NUMBERS)
            same_games = now["similar"] == then["similar"]
        except (KeyError, TypeError, ForecastError) as error:
            raise GoldenMismatch(f"golden input {place} cannot be answered: {error!r}") from error
        if not gap <= GOLDEN_TOLERANCE or not same_games:
            raise GoldenMismatch(f"golden input {place} is off by {gap:g} points: {now} now, {then} when written")
        worst = max(worst, gap)
    if worst > 0.0:
        warnings.warn(
            f"golden answers differ by up to {worst:g} points: forecasts equal those of the writer to "
            f"{GOLDEN_TOLERANCE:g}, not in every bit",
            GoldenTolerance,
            stacklevel=3,
        )
