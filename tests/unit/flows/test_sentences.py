"""Errors as sentences: ours, settings that cannot be used, and bugs."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from flows.sentences import sentence
from services.client import ForecasterUnavailable
from services.database import DatabaseUnavailable, StoreError
from services.registry import RegistryUnavailable
from services.settings import Settings, SettingsError


def refused(**values: object) -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        Settings(**values)  # type: ignore[arg-type]
    return raised.value


def test_an_error_of_ours_is_its_message() -> None:
    assert sentence(SettingsError("set it")) == "set it"


def test_a_setting_is_named_as_its_variable_with_its_value() -> None:
    said = sentence(refused(replay_speed="fast"))
    assert said is not None
    assert said.startswith("HALFTIME_REPLAY_SPEED='fast' cannot be used: ")
    assert "\n" not in said
    assert "pydantic" not in said


def test_every_wrong_setting_is_named() -> None:
    said = sentence(refused(replay_speed=-1, alpha=2, data="/nowhere"))
    assert said is not None
    assert {"HALFTIME_REPLAY_SPEED", "HALFTIME_ALPHA", "HALFTIME_DATA"} <= set(said.replace("=", " ").split())


def test_an_address_of_the_wrong_kind_is_not_repeated() -> None:
    said = sentence(refused(DATABASE_URL=["hush"]))
    assert said is not None
    assert said.startswith("DATABASE_URL cannot be used")
    assert "hush" not in said


def test_a_bug_is_not_a_sentence() -> None:
    assert sentence(KeyError("game_id")) is None
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(int).validate_python("x")
    assert sentence(raised.value) is None


@pytest.mark.parametrize(
    "error",
    [
        DatabaseUnavailable(ConnectionError("refused")),
        ForecasterUnavailable("no answer"),
        RegistryUnavailable("no answer"),
        StoreError("no rights"),
    ],
)
def test_a_server_that_is_away_sends_to_status(error: Exception) -> None:
    said = sentence(error)
    assert said is not None
    assert said.startswith(str(error))
    assert ("./halftime status" in said) == (type(error) is not StoreError)
