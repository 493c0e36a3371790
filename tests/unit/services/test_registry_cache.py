"""Bundles kept on this disk: those used last, and those that a name leads to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.bundle import write_bundle
from services.registry_cache import BundleCache
from services.registry_http import Version
from tests.support.small_model import small_ensemble


def added(cache: BundleCache, seed: int, folder: Path) -> str:
    """The digest of a small bundle that is in the cache now, used as long ago as ``seed`` is small."""
    model = small_ensemble(minutes=(18,), games=120, seed=seed)
    digest = write_bundle(model, folder / f"draft-{seed}", {"code_version": "test"})

    def fill(place: Path) -> None:
        for file in (folder / f"draft-{seed}").iterdir():
            (place / file.name).write_bytes(file.read_bytes())

    cache.add(digest, fill)
    os.utime(cache.place(digest), (seed, seed))
    return digest


def kept(cache: BundleCache, digests: list[str]) -> list[bool]:
    return [cache.place(digest).is_dir() for digest in digests]


def test_the_copies_used_least_lately_go_and_named_ones_stay(tmp_path: Path) -> None:
    cache = BundleCache(tmp_path / "models", kept=3)
    digests = [added(cache, seed, tmp_path) for seed in (1, 2)]
    cache.remember("champion", Version("m", "1", digests[0], "run", "there"))
    digests += [added(cache, seed, tmp_path) for seed in (3, 4)]
    assert kept(cache, digests) == [True, False, True, True], "the champion's is the oldest"
    assert cache.load(digests[2]) is not None
    digests.append(added(cache, 5, tmp_path))
    assert kept(cache, digests) == [True, False, True, False, True], "what was loaded just now was used last"
    assert cache.remembered("m", "champion") is not None


def test_what_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    cache = BundleCache(tmp_path / "models", kept=1)
    for seed in (1, 2):
        added(cache, seed, tmp_path)
        (tmp_path / "models" / "notes.json").write_text("{")
        (tmp_path / "models" / "README").write_text("ours")
    assert {path.name for path in (tmp_path / "models").iterdir()} > {"notes.json", "README"}
    with pytest.raises(ValueError, match="is not a digest"):
        cache.place("../x")
