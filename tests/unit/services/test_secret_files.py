"""Settings that come from files: what Compose and Kubernetes mount."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.settings import DRIVER, Settings

URL = f"{DRIVER}halftime:hush-hush@postgres:5432/halftime"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HALFTIME_SECRETS_DIR", str(tmp_path))
    return tmp_path


def read() -> Settings:
    return Settings(_env_file=None)  # type: ignore[call-arg]


def test_a_file_named_as_a_variable_is_that_setting_without_its_last_line_break(folder: Path) -> None:
    (folder / "database_url").write_text(f"{URL}\n")
    (folder / "REDIS_URL").write_text("redis://redis:6379/0\n")
    settings = read()
    assert settings.resolved_database_url == URL
    assert settings.resolved_redis_url == "redis://redis:6379/0"


def test_a_link_into_the_folder_is_read_as_kubernetes_makes_them(folder: Path) -> None:
    (folder / "..2026").mkdir()
    (folder / "..2026" / "database_url").write_text(URL)
    (folder / "..data").symlink_to("..2026")
    (folder / "database_url").symlink_to("..data/database_url")
    assert read().database_url == URL


def test_the_environment_goes_before_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "database_url").write_text(URL)
    monkeypatch.setenv("DATABASE_URL", f"{DRIVER}me:word@elsewhere/other")
    assert read().database_url == f"{DRIVER}me:word@elsewhere/other"


def test_files_that_name_no_setting_are_nobodys_business(folder: Path) -> None:
    (folder / "api_key").write_text("k" * 32)
    assert read().model_dump(exclude={"secrets_dir"}) == Settings(secrets_dir=None, _env_file=None).model_dump(  # type: ignore[call-arg]
        exclude={"secrets_dir"}
    )


def test_a_folder_in_a_file_of_settings_is_looked_into_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "database_url").write_text(URL)
    monkeypatch.delenv("HALFTIME_SECRETS_DIR")
    (folder / "env").write_text(f"HALFTIME_SECRETS_DIR={folder}\n")
    assert Settings(_env_file=folder / "env").database_url == URL  # type: ignore[call-arg]


def test_a_secret_that_cannot_be_used_is_refused_without_being_told(folder: Path) -> None:
    (folder / "database_url").write_text("postgres://halftime:hush-hush@postgres/halftime")
    with pytest.raises(ValidationError, match="DATABASE_URL must start with") as refused:
        read()
    assert "hush" not in str(refused.value)


def test_a_secret_that_is_no_text_is_refused_by_the_folders_name(folder: Path) -> None:
    (folder / "database_url").write_bytes(b"\xff\xfe\x00hush")
    with pytest.raises(ValueError, match=r"HALFTIME_SECRETS_DIR=.*database_url.*let this user read") as refused:
        read()
    assert "hush" not in str(refused.value)


def test_a_folder_that_is_not_there_is_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFTIME_SECRETS_DIR", str(folder / "nowhere"))
    with pytest.raises(ValidationError, match=r"HALFTIME_SECRETS_DIR=.*nowhere is no folder"):
        read()


def test_without_the_setting_no_folder_is_looked_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "database_url").write_text(URL)
    monkeypatch.setenv("HALFTIME_SECRETS_DIR", "")
    assert read().database_url is None
