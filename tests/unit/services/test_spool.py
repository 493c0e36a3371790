"""The spool: nothing acknowledged is ever lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import spool as spool_module
from services.spool import InsertRefused, Row, Spool, SpoolError, SpoolStats
from tests.support.waiting import until


class Table:
    """An insert that remembers ids once, fails when told to and refuses rows marked bad."""

    def __init__(self) -> None:
        self.ids: list[object] = []
        self.seen: set[object] = set()
        self.down = False
        self.calls = 0

    def insert(self, rows: Sequence[Row]) -> None:
        self.calls += 1
        if self.down:
            raise ConnectionError("no database")
        if any(row.get("bad") for row in rows):
            raise InsertRefused("CHECK violated")
        for row in rows:
            if row["id"] not in self.seen:
                self.seen.add(row["id"])
                self.ids.append(row["id"])


@pytest.fixture
def table() -> Table:
    return Table()


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_what_waits_is_told_while_an_insert_hangs(tmp_path: Path) -> None:
    go = threading.Event()
    told: list[SpoolStats] = []

    def hang(rows: Sequence[Row]) -> None:
        go.wait(20.0)

    spool = Spool(tmp_path, hang, interval_s=0.01, observe=told.append)
    spool.start()
    try:
        spool.append({"id": 1})
        until(lambda: told and told[-1].waiting == 1)
        age_s = told[-1].oldest_s
        until(lambda: told[-1].oldest_s > age_s)
    finally:
        go.set()
    until(lambda: told[-1].waiting == 0)
    spool.close()


def test_appended_rows_reach_the_table_in_order_and_leave_no_file(tmp_path: Path, table: Table) -> None:
    spool = Spool(tmp_path, table.insert)
    for i in range(450):
        spool.append({"id": i})
    spool.drain()
    assert table.ids == list(range(450))
    assert files(tmp_path) == []
    spool.close()


def test_row_is_on_disk_when_append_returns(tmp_path: Path, table: Table) -> None:
    spool = Spool(tmp_path, table.insert)
    spool.append({"id": "a", "x": 0.1})
    (path,) = tmp_path.glob("*.jsonl")
    assert json.loads(path.read_bytes()) == {"id": "a", "x": 0.1}
    spool.close()


def test_outage_keeps_rows_and_they_follow_later(tmp_path: Path, table: Table) -> None:
    spool = Spool(tmp_path, table.insert)
    table.down = True
    for i in range(5):
        spool.append({"id": i})
        with pytest.raises(ConnectionError):
            spool.drain()
    assert spool.stats().waiting == 5
    assert len(files(tmp_path)) == 2, "an outage leaves one sealed and one growing segment, not one per pass"
    table.down = False
    spool.drain()
    spool.drain()
    assert table.ids == [0, 1, 2, 3, 4]
    assert spool.stats().waiting == 0
    spool.close()


def test_nan_is_not_written(tmp_path: Path, table: Table) -> None:
    spool = Spool(tmp_path, table.insert)
    with pytest.raises(ValueError, match="not JSON compliant"):
        spool.append({"id": 1, "x": float("nan")})
    assert files(tmp_path) == []
    spool.close()


def test_killed_process_leaves_rows_that_the_next_one_drains(tmp_path: Path, table: Table) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from services.spool import Spool\n"
        f"s = Spool(Path({str(tmp_path)!r}), lambda rows: None)\n"
        "[s.append({'id': i}) for i in range(3)]\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(spool_module.__file__).parent.parent, check=False)
    assert done.returncode == -signal.SIGKILL
    spool = Spool(tmp_path, table.insert)
    spool.drain()
    assert table.ids == [0, 1, 2]
    assert files(tmp_path) == []
    spool.close()


def test_segment_of_a_living_writer_is_left_alone(tmp_path: Path, table: Table) -> None:
    writer, other = Spool(tmp_path, table.insert), Spool(tmp_path, table.insert)
    writer.append({"id": 1})
    other.drain()
    assert table.ids == []
    writer.close()
    other.drain()
    assert table.ids == [1]
    other.close()


def test_torn_last_line_is_dropped_and_the_rest_kept(tmp_path: Path, table: Table) -> None:
    (tmp_path / "0-dead.jsonl").write_bytes(b'{"id": 1}\n{"id": 2}\n{"id": 3, "pat')
    Spool(tmp_path, table.insert).drain()
    assert table.ids == [1, 2]
    assert files(tmp_path) == []


def test_bad_line_and_refused_row_are_kept_aside_and_hold_up_nobody(tmp_path: Path, table: Table) -> None:
    lines = [b'{"id": 1}', b"garbage", b'{"id": 2, "bad": true}', b"[]", b'{"id": 3}']
    (tmp_path / "0-dead.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    spool = Spool(tmp_path, table.insert)
    spool.drain()
    assert table.ids == [1, 3]
    kept = (tmp_path / "rejected" / "0-dead.jsonl").read_text().splitlines()
    assert len(kept) == 3
    assert spool.stats().rejected == 3
    assert any("CHECK violated" in line for line in kept)


def test_bad_line_is_kept_once_however_often_its_segment_is_tried(tmp_path: Path, table: Table) -> None:
    (tmp_path / "0-dead.jsonl").write_bytes(b'garbage\n{"id": 1}\n')
    spool = Spool(tmp_path, table.insert)
    table.down = True
    for _ in range(3):
        with pytest.raises(ConnectionError):
            spool.drain()
    table.down = False
    spool.drain()
    assert table.ids == [1]
    assert len((tmp_path / "rejected" / "0-dead.jsonl").read_text().splitlines()) == 1
    assert spool.stats().rejected == 1


def test_full_disk_is_an_error_for_the_caller_and_leaves_no_torn_line(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, table.insert)
    spool.append({"id": 1})
    real = os.write

    def half_then_full(fd: int, data: bytes) -> int:
        if len(data) > 4:
            return real(fd, data[:4])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(SpoolError, match="No space left on device\\): free some"):
        spool.append({"id": 2})
    monkeypatch.undo()
    spool.append({"id": 3})
    spool.drain()
    spool.drain()
    assert table.ids == [1, 3]
    assert spool.stats().rejected == 0
    spool.close()


def test_failed_fsync_is_an_error_for_every_waiting_caller(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, table.insert)
    spool.append({"id": 0})
    monkeypatch.setattr(os, "fdatasync", lambda fd: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    with pytest.raises(SpoolError, match="I/O error"):
        spool.append({"id": 1})
    monkeypatch.undo()
    spool.drain()
    assert table.ids == [0]
    spool.close()


def test_concurrent_appends_are_all_durable_and_share_fsyncs(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, table.insert)
    real, calls = os.fdatasync, []
    gate = threading.Event()

    def slow(fd: int) -> None:
        calls.append(fd)
        gate.wait(5)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    threads = [threading.Thread(target=spool.append, args=({"id": i},)) for i in range(20)]
    for thread in threads:
        thread.start()
    while sum(len(g) for g in [spool._group.lines]) < 19 and len(calls) < 2:
        threading.Event().wait(0.01)
    gate.set()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    assert len(calls) < 20
    spool.drain()
    assert sorted(map(int, map(str, table.ids))) == list(range(20))
    spool.close()


def test_thread_drains_survives_outages_and_close_leaves_the_rest(tmp_path: Path, table: Table) -> None:
    table.down = True
    spool = Spool(tmp_path, table.insert, interval_s=0.01, max_backoff_s=0.02)
    spool.start()
    spool.append({"id": 1})
    while table.calls < 3:
        threading.Event().wait(0.01)
    assert "ConnectionError" in str(spool.stats().last_error)
    table.down = False
    while not table.ids or spool.stats().last_error:
        threading.Event().wait(0.01)
    table.down = True
    spool.append({"id": 2})
    spool.close()
    with pytest.raises(SpoolError, match="closed"):
        spool.append({"id": 3})
    table.down = False
    heir = Spool(tmp_path, table.insert)
    heir.drain()
    assert table.ids == [1, 2]
    assert files(tmp_path) == []


def test_hanging_insert_blocks_neither_append_nor_close(tmp_path: Path) -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(rows: Sequence[Row]) -> None:
        entered.set()
        release.wait(10)

    spool = Spool(tmp_path, hang, interval_s=0.01)
    spool.start()
    spool.append({"id": 1})
    assert entered.wait(5)
    spool.append({"id": 2})
    assert spool.stats().waiting == 2
    spool.close(timeout_s=0.05)
    release.set()


def test_the_room_on_the_disk_is_told_unless_its_folder_is_away(tmp_path: Path, table: Table) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    stats = Spool(folder, table.insert).stats()
    assert stats.disk_free is not None
    assert stats.disk_size is not None
    assert 0 < stats.disk_free <= stats.disk_size
    spool = Spool(folder, table.insert)
    folder.rename(tmp_path / "away")
    assert (spool.stats().disk_size, spool.stats().disk_free) == (None, None)


def test_crash_between_insert_and_removal_inserts_again_not_twice(tmp_path: Path, table: Table) -> None:
    (tmp_path / "0-dead.jsonl").write_bytes(b'{"id": 1}\n')
    table.insert([{"id": 1}])
    Spool(tmp_path, table.insert).drain()
    assert table.ids == [1]


def test_probe_names_a_folder_without_right_or_space(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, table.insert)
    spool.probe()
    monkeypatch.setattr(spool_module, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(SpoolError, match="nearly full"):
        spool.probe()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SpoolError, match="not writable"):
        spool.probe()


def test_folder_that_cannot_be_made_is_named(tmp_path: Path, table: Table) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be made"):
        Spool(tmp_path / "file" / "spool", table.insert)


@given(cut=st.integers(min_value=0, max_value=200), n=st.integers(min_value=1, max_value=12))
def test_any_cut_of_a_segment_yields_the_whole_lines_before_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int, n: int
) -> None:
    folder, table = tmp_path_factory.mktemp("spool"), Table()
    data = b"".join(b'{"id": %d}\n' % i for i in range(n))[:cut]
    (folder / "0-dead.jsonl").write_bytes(data)
    Spool(folder, table.insert).drain()
    assert table.ids == list(range(data.count(b"\n")))
    assert files(folder) == []
