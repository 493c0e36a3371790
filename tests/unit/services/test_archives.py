"""Downloading and unpacking season archives, from a server on this machine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.archive_files import ArchiveMissing, ArchiveUnsafe, DownloadFailed, IndexUnusable, unpack
from services.archives import Archives, parse_index
from tests.unit.services.archive_rows import Shelf, pack_files, serving

CONTENT = b"GAME_ID,SCORE\n" + b"22290001,2 - 0\n" * 3000
NAME = "nbastats_2018"


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving() as started:
        started.put(NAME, pack_files({f"{NAME}.csv": CONTENT}))
        yield started


def archives(shelf: Shelf, folder: Path, **more: object) -> Archives:
    return Archives(f"{shelf.url}/list_data.txt", folder, wait_initial_s=0.01, **more)  # type: ignore[arg-type]


def test_an_archive_arrives_unpacked_with_its_progress_told(shelf: Shelf, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    with archives(shelf, tmp_path, progress=lambda *step: told.append(step)) as public:
        csv = public.fetch(NAME)
    assert csv.read_bytes() == CONTENT
    size = len(shelf.files[f"/{NAME}.tar.xz"])
    assert told[-1] == (NAME, size, size)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{NAME}.csv", f"{NAME}.receipt.json"]


def test_an_archive_that_is_there_is_not_asked_for_again(shelf: Shelf, tmp_path: Path) -> None:
    with archives(shelf, tmp_path) as public:
        public.fetch(NAME)
    shelf.requests.clear()
    with archives(shelf, tmp_path) as public:
        assert public.fetch(NAME).read_bytes() == CONTENT
    assert shelf.requests == []


def test_a_changed_file_is_downloaded_again(shelf: Shelf, tmp_path: Path) -> None:
    with archives(shelf, tmp_path) as public:
        public.fetch(NAME).write_bytes(CONTENT[:-5] + b"9999\n")
        assert public.fetch(NAME).read_bytes() == CONTENT


def test_a_broken_download_goes_on_where_it_stopped(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cut_after, shelf.cuts_left = 100, 2
    with archives(shelf, tmp_path) as public:
        assert public.fetch(NAME).read_bytes() == CONTENT
    ranges = [asked for path, asked in shelf.requests if path.endswith(".xz")]
    assert ranges == [None, "bytes=100-", "bytes=200-"]


def test_a_later_run_resumes_what_an_earlier_one_left(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cut_after, shelf.cuts_left = 100, 1
    with (
        archives(shelf, tmp_path, attempts=1) as public,
        pytest.raises(DownloadFailed, match="it goes on where it stopped"),
    ):
        public.fetch(NAME)
    assert (tmp_path / f"{NAME}.tar.xz.part").stat().st_size == 100
    with archives(shelf, tmp_path) as public:
        assert public.fetch(NAME).read_bytes() == CONTENT
    assert shelf.requests[-1] == (f"/{NAME}.tar.xz", "bytes=100-")


def test_a_file_that_changed_on_the_server_starts_over(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cut_after, shelf.cuts_left = 100, 1
    with archives(shelf, tmp_path, attempts=1) as public, pytest.raises(DownloadFailed):
        public.fetch(NAME)
    changed = CONTENT + b"22290002,0 - 2\n"
    shelf.put(NAME, pack_files({f"{NAME}.csv": changed}))
    with archives(shelf, tmp_path) as public:
        assert public.fetch(NAME).read_bytes() == changed


def test_a_download_stopped_before_unpacking_is_not_repeated(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cut_after, shelf.cuts_left = 100, 1
    with archives(shelf, tmp_path, attempts=1) as public, pytest.raises(DownloadFailed):
        public.fetch(NAME)
    (tmp_path / f"{NAME}.tar.xz.part").write_bytes(shelf.files[f"/{NAME}.tar.xz"])
    with archives(shelf, tmp_path) as public:
        assert public.fetch(NAME).read_bytes() == CONTENT
    assert shelf.requests[-1][1] == f"bytes={len(shelf.files[f'/{NAME}.tar.xz'])}-"


def test_busy_and_failing_answers_are_tried_again(shelf: Shelf, tmp_path: Path) -> None:
    shelf.refusals = [503, 429]
    with archives(shelf, tmp_path) as public:
        assert public.fetch(NAME).read_bytes() == CONTENT


def test_a_server_that_stays_away_is_named_at_last(tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    with (
        Archives(
            "http://localhost/list", tmp_path, transport=httpx.MockTransport(refuse), attempts=2, wait_initial_s=0.01
        ) as a,
        pytest.raises(DownloadFailed, match="after 2 tries: no route"),
    ):
        a.index()


def test_a_refusal_is_not_repeated(shelf: Shelf, tmp_path: Path) -> None:
    shelf.refusals = [403]
    with archives(shelf, tmp_path) as public, pytest.raises(DownloadFailed, match="answers 403"):
        public.index()
    assert len(shelf.requests) == 1


def test_an_archive_the_index_lacks_is_named(shelf: Shelf, tmp_path: Path) -> None:
    with archives(shelf, tmp_path) as public, pytest.raises(ArchiveMissing, match="no archive nbastats_1990"):
        public.fetch("nbastats_1990")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!DOCTYPE html><html>", "line 1 of the archive index"),
        ("", "is empty"),
        ("nbastats_2018=file:///etc/passwd", "only http and https"),
        ("../../evil=https://example.org/x", "not name=url"),
    ],
)
def test_an_index_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(IndexUnusable, match=says):
        parse_index(text)


def test_an_index_is_read_line_by_line() -> None:
    assert parse_index("a_1=https://x.org/a?b=c\n\n b_2=http://y.org/b \n") == {
        "a_1": "https://x.org/a?b=c",
        "b_2": "http://y.org/b",
    }


def damaged(archive: bytes) -> bytes:
    return archive[: len(archive) // 2]


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (pack_files({"other.csv": b"x"}), "does not hold the file"),
        (b"<html>not an archive</html>", "is damaged"),
        (damaged(pack_files({f"{NAME}.csv": CONTENT})), "is damaged"),
    ],
)
def test_a_bad_archive_is_removed_and_leaves_nothing(shelf: Shelf, tmp_path: Path, archive: bytes, says: str) -> None:
    shelf.put(NAME, archive)
    with archives(shelf, tmp_path) as public, pytest.raises(ArchiveUnsafe, match=says):
        public.fetch(NAME)
    assert list(tmp_path.iterdir()) == []


def test_only_the_named_file_is_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.xz"
    archive.write_bytes(pack_files({"../outside.csv": b"no", "/etc/evil": b"no", f"./{NAME}.csv": CONTENT}))
    target = tmp_path / "in" / f"{NAME}.csv"
    target.parent.mkdir()
    unpack(archive, f"{NAME}.csv", target)
    assert target.read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tar.xz", "in", f"{NAME}.csv"]


def test_a_file_larger_than_the_limit_is_not_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.xz"
    archive.write_bytes(pack_files({f"{NAME}.csv": CONTENT}))
    with pytest.raises(ArchiveUnsafe, match=f"would be {len(CONTENT)} bytes, more than 1000"):
        unpack(archive, f"{NAME}.csv", tmp_path / f"{NAME}.csv", limit=1000)
    assert not (tmp_path / f"{NAME}.csv").exists()


def test_a_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        link = tarfile.TarInfo(f"{NAME}.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    archive = tmp_path / "a.tar.xz"
    archive.write_bytes(packed.getvalue())
    with pytest.raises(ArchiveUnsafe, match="does not hold the file"):
        unpack(archive, f"{NAME}.csv", tmp_path / f"{NAME}.csv")
