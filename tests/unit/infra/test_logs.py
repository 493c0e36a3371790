from __future__ import annotations

from pathlib import Path

from infra.logs import begin_log, limit_log, tail


def test_a_new_run_keeps_the_two_before_it(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "board.log"
    for run in ("one", "two", "three", "four"):
        begin_log(log)
        log.write_text(run)
    begin_log(log)
    assert not log.exists()
    assert [(tmp_path / "logs" / f"board.log.{n}").read_text() for n in (1, 2)] == ["four", "three"]
    assert not (tmp_path / "logs" / "board.log.3").exists()


def test_an_empty_log_does_not_push_a_full_one_out(tmp_path: Path) -> None:
    log = tmp_path / "board.log"
    log.write_text("useful")
    begin_log(log)
    log.touch()
    begin_log(log)
    assert (tmp_path / "board.log.1").read_text() == "useful"


def test_a_log_past_its_limit_is_emptied_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "board.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        assert not limit_log(log, limit_bytes=100)
        writer.write(b"y")
        assert limit_log(log, limit_bytes=100)
        writer.write(b"next")
    assert log.read_text() == "next"
    assert (tmp_path / "board.log.1").stat().st_size == 101


def test_the_tail_is_the_last_lines_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "board.log"
    log.write_bytes(b"first\n" * 5000 + b"\nsecond\n\n\xff last\n")
    assert tail(log, 2) == ["second", "\ufffd last"]
    assert tail(tmp_path / "none.log") == []
