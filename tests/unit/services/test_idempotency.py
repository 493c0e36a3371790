"""The first answer to a request id is the answer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from services import idempotency
from services.idempotency import Answers, AnswersUnavailableError, KeyReusedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "answers.sqlite"


def test_first_answer_wins_for_every_process(path: Path) -> None:
    one, two = Answers(path), Answers(path)
    assert one.get("k", "f") is None
    assert one.claim("k", "f", b"first") == b"first"
    assert two.claim("k", "f", b"second") == b"first"
    assert two.get("k", "f") == b"first"
    one.close()
    two.close()


def test_another_body_under_the_same_id_is_refused(path: Path) -> None:
    answers = Answers(path)
    answers.claim("k", "f", b"x")
    with pytest.raises(KeyReusedError, match="another body"):
        answers.get("k", "g")
    with pytest.raises(KeyReusedError, match="new id"):
        answers.claim("k", "g", b"y")


def test_concurrent_claims_agree_on_one_answer(path: Path) -> None:
    stores = [Answers(path) for _ in range(3)]
    won: list[bytes] = []
    threads = [
        threading.Thread(target=lambda i=i: won.append(stores[i % 3].claim("k", "f", b"%d" % i))) for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 12
    assert len(set(won)) == 1


def test_answers_survive_a_reopen_and_are_forgotten_after_a_day(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Answers(path).claim("k", "f", b"x")
    assert Answers(path).get("k", "f") == b"x"
    monkeypatch.setattr(idempotency, "KEEP_S", -1.0)
    assert Answers(path).get("k", "f") is None


def test_damaged_file_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    assert Answers(path).claim("k", "f", b"x") == b"x"


def test_file_that_cannot_be_opened_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(AnswersUnavailableError, match=r"answers\.sqlite cannot be opened"):
        Answers(path)
