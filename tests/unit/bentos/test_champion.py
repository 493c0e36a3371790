"""The served model: whole or not at all, and never worse than before."""

from __future__ import annotations

import threading

import pytest

from bentos.answering import ServedModel
from bentos.champion import Champion, NoModelError
from tests.support.small_model import small_ensemble

ENSEMBLE = small_ensemble(minutes=(18,))


def model(version: str) -> ServedModel:
    return ServedModel(version, version * 8, ENSEMBLE, "a test")


def test_there_is_no_model_before_the_first_load_and_a_reason() -> None:
    champion = Champion(lambda current: model("1"))
    with pytest.raises(NoModelError, match="/health"):
        _ = champion.model
    assert champion.trouble == "the model is still being loaded"
    champion.refresh()
    assert champion.model.version == "1"
    assert champion.trouble is None


def test_trouble_keeps_the_model_in_use_and_is_told_without_passwords() -> None:
    answers: list[ServedModel | Exception] = [
        model("1"),
        ConnectionError("http://me:secret@mlflow is down"),
        model("2"),
    ]

    def load(current: ServedModel | None) -> ServedModel:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    changes: list[tuple[str | None, str]] = []

    def note(old: ServedModel | None, new: ServedModel) -> None:
        changes.append((old.version if old else None, new.version))

    champion = Champion(load, on_change=note)
    champion.refresh()
    champion.refresh()
    assert champion.model.version == "1"
    assert champion.trouble == "http://me:***@mlflow is down"
    champion.refresh()
    assert champion.model.version == "2"
    assert champion.current is not None
    assert changes == [(None, "1"), ("1", "2")]


def test_same_model_is_no_change() -> None:
    one = model("1")
    changes: list[str] = []
    champion = Champion(lambda current: current or one, on_change=lambda old, new: changes.append(new.version))
    champion.refresh()
    champion.refresh()
    assert changes == ["1"]


def test_thread_tries_until_it_has_a_model_then_looks_for_new_ones_until_closed() -> None:
    calls = 0
    enough = threading.Event()

    def load(current: ServedModel | None) -> ServedModel:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise ConnectionError("not yet")
        if calls == 6:
            enough.set()
        return model(str(calls))

    champion = Champion(load, refresh_s=0.01, retry_s=0.01)
    champion.start()
    assert enough.wait(10)
    champion.close()
    assert int(champion.model.version) >= 5
