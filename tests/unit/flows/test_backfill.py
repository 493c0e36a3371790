"""Which history is loaded, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

import flows.backfill as module
from flows.backfill import load_source
from services.settings import Settings, SettingsError


def settings(folder: Path, **fields: object) -> Settings:
    return Settings(home=folder, data=None, **fields)  # type: ignore[arg-type]


def test_archives_are_loaded_by_seasons_when_the_setting_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(module, "backfill_archives", lambda _settings, seasons, _told: asked.append(seasons) or {})
    load_source(settings(tmp_path, source="archive"), seasons="2018-2020")
    load_source(settings(tmp_path), source="archive", seasons="2021")
    assert asked == [(2018, 2019, 2020), (2021,)]


def test_archives_without_seasons_are_asked_for_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="name start years, as --seasons 2018-2024"):
        load_source(settings(tmp_path, source="archive"))


def test_seasons_of_another_source_are_refused_and_not_left_aside(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"seasons '2018': only the source archive .* 'simulated'"):
        load_source(settings(tmp_path), source="simulated", seasons="2018")
