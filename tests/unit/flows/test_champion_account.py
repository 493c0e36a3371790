"""Who a decision of a person is recorded for."""

from __future__ import annotations

import os
import pwd

import pytest

from flows.champion import account

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account of a container: a number that no list of accounts has."""

    def unknown(number: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_a_decision_is_recorded_for_the_account_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert account() == "ada"


@pytest.mark.usefixtures("nameless")
def test_an_account_without_a_name_is_recorded_by_its_number() -> None:
    assert account() == f"uid {os.getuid()}"
