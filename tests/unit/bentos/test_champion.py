"""The served model: whole or not at all, and never worse than before."""

from __future__ import annotations

import threading
from dataclasses import replace

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


def test_a_former_champion_can_still_be_asked_and_only_a_few_are_kept() -> None:
    looked_for: list[str] = []

    def find(digest: str) -> ServedModel:
        looked_for.append(digest)
        if digest == "gone":
            raise LookupError("gone")
        return model(digest[0])

    current = iter(range(1, 9))
    champion = Champion(lambda _: model(str(next(current))), find=find)
    with pytest.raises(NoModelError):
        champion.of("11111111")
    for _ in range(6):
        champion.refresh()
    assert champion.of("66666666") is champion.model
    assert [champion.of(number * 8).version for number in "5435"] == ["5", "4", "3", "5"]
    assert looked_for == []
    assert champion.of("11111111").version == "1"
    assert looked_for == ["11111111"], "what is not kept any more is looked for, once"
    assert champion.of("11111111").version == "1"
    assert looked_for == ["11111111"]
    with pytest.raises(LookupError):
        champion.of("gone")
    alone = Champion(lambda _: model("1"))
    alone.refresh()
    with pytest.raises(LookupError, match="is here"):
        alone.of("22222222")


def test_every_look_tells_whether_there_is_trouble() -> None:
    answers: list[ServedModel | Exception] = [model("1"), ConnectionError("down"), model("1")]
    told: list[str | None] = []

    def load(_: ServedModel | None) -> ServedModel:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    champion = Champion(load, on_look=told.append)
    for _ in range(3):
        champion.refresh()
    assert told == [None, "down", None]


def test_when_nothing_can_be_loaded_a_substitute_answers_until_something_can() -> None:
    answers: list[ServedModel | Exception] = [ConnectionError("down"), ConnectionError("down"), model("1")]

    def load(_: ServedModel | None) -> ServedModel:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made: list[str] = []

    def substitute() -> ServedModel:
        made.append("once")
        return model("0")

    champion = Champion(load, fallback=substitute)
    with pytest.raises(NoModelError):
        _ = champion.model
    for _ in range(2):
        champion.refresh()
        assert (champion.model.version, champion.on_fallback, champion.current) == ("0", True, None)
    assert made == ["once"]
    champion.refresh()
    assert (champion.model.version, champion.on_fallback) == ("1", False)


def test_a_model_moves_only_while_it_is_served_and_a_look_that_finds_nothing_new_keeps_it() -> None:
    champion = Champion(lambda current: current or model("1"))
    champion.refresh()
    first = champion.model
    moved = replace(first, games_since=1)
    assert champion.move(first, moved)
    assert champion.model is moved
    assert not champion.move(first, replace(first, games_since=2)), "it is not served any more"
    champion.refresh()
    assert champion.model is moved
    assert champion.of(first.digest) is moved
