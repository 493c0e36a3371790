"""Public season archives: their index, resumed downloads, careful unpacking.

The project shufinskiy/nba_data publishes one tar.xz a season and kind, listed in an index of lines ``name=url``. Each
holds ``name.csv``. The index carries no digests, so a download is checked against the length the server announced and
against xz's own checksum while unpacking; the SHA-256 of what arrived is kept beside it and checked before it is used
again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import stamina

from services.archive_files import (
    ArchiveMissing,
    ArchiveUnsafe,
    DownloadFailed,
    IndexUnusable,
    Receipt,
    intact,
    sha256,
    unpack,
    write_receipt,
    write_whole,
)

Result = TypeVar("Result")
Progress = Callable[[str, int, int | None], None]

LARGEST_ARCHIVE: Final = 512 * 2**20
_NAME: Final = re.compile(r"[a-z0-9_]{1,60}")
_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)


class _Transient(Exception):
    """Worth trying again: a broken connection, 429 or 5xx. ``wait_s`` is what the server asked for, if it did."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Archives:
    """Season archives by name, kept as CSV files in ``folder``.

    ``progress(name, bytes done, bytes in all or None)`` is called while an archive arrives. ``transport`` is the seam
    for tests. Use as a context manager.
    """

    def __init__(
        self,
        index_url: str,
        folder: Path,
        *,
        progress: Progress | None = None,
        transport: httpx.BaseTransport | None = None,
        attempts: int = 5,
        wait_initial_s: float = 0.5,
    ) -> None:
        self._index_url = _checked_url(index_url, "the archive index")
        self._folder = folder
        self._progress = progress
        self._attempts, self._wait_initial_s = attempts, wait_initial_s
        self._http = httpx.Client(transport=transport, timeout=_TIMEOUT, follow_redirects=True, max_redirects=5)
        self._index: Mapping[str, str] | None = None

    def __enter__(self) -> Archives:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def index(self) -> Mapping[str, str]:
        """Archive names and their addresses, asked for once. Raises IndexUnusable."""
        if self._index is None:
            self._index = parse_index(self._retrying(self._get_index))
        return self._index

    def fetch(self, name: str) -> Path:
        """The CSV file of archive ``name``, downloaded and unpacked unless it is already there, unchanged.

        Raises ArchiveMissing, DownloadFailed or ArchiveUnsafe; a failed download is resumed by the next call.
        """
        csv = self._folder / f"{name}.csv"
        if intact(csv):
            return csv
        url = self.index().get(name)
        if url is None:
            raise ArchiveMissing(f"the index {self._index_url} has no archive {name}: see its list of names")
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{name}.tar.xz.part"
        resumed_at = self._retrying(lambda: self._download(name, url, part))
        receipt_of_archive = (part.stat().st_size, sha256(part))
        try:
            unpack(part, f"{name}.csv", csv)
        except ArchiveUnsafe:
            part.unlink()
            _validator_path(part).unlink(missing_ok=True)
            raise
        receipt = Receipt(name, url, *receipt_of_archive, csv.stat().st_size, sha256(csv), resumed_at)
        write_receipt(csv, receipt)
        part.unlink()
        _validator_path(part).unlink(missing_ok=True)
        return csv

    def _get_index(self) -> str:
        response = self._http.get(self._index_url)
        _raise_for(response, "the archive index")
        return response.text

    def _download(self, name: str, url: str, part: Path) -> int:
        """Bring ``part`` to its full length; returns where it was resumed (If-Range: the same file, or afresh)."""
        validator_file = _validator_path(part)
        have = part.stat().st_size if part.exists() else 0
        validator = validator_file.read_text() if have and validator_file.exists() else ""
        headers = {"Range": f"bytes={have}-", "If-Range": validator} if validator else {}
        # Identity: lengths and ranges are of the bytes of the file itself.
        with self._http.stream("GET", url, headers=headers | {"Accept-Encoding": "identity"}) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                if _total(response, have) == have:
                    return have
                part.unlink()
                raise _Transient(f"{name}: the server has less than the {have} bytes already here; starting again")
            _raise_for(response, name)
            if response.status_code != httpx.codes.PARTIAL_CONTENT:
                have = 0
            total = _total(response, have)
            if total is not None and total > LARGEST_ARCHIVE:
                raise ArchiveUnsafe(f"{name} would be {total} bytes, more than {LARGEST_ARCHIVE}: not downloaded")
            write_whole(validator_file, _validator(response))
            done = have
            with part.open("ab" if have else "wb") as file:
                for chunk in response.iter_raw():
                    file.write(chunk)
                    done += len(chunk)
                    if done > LARGEST_ARCHIVE:
                        raise ArchiveUnsafe(f"{name} is more than {LARGEST_ARCHIVE} bytes: stopped")
                    if self._progress is not None:
                        self._progress(name, done, total)
        if total is not None and done != total:
            raise _Transient(f"{name}: {done} of {total} bytes arrived")
        return have

    def _retrying(self, action: Callable[[], Result]) -> Result:
        try:
            for attempt in stamina.retry_context(
                on=_worth_retrying,
                attempts=self._attempts,
                timeout=None,
                wait_initial=self._wait_initial_s,
                wait_jitter=self._wait_initial_s,
                wait_max=20.0,
            ):
                with attempt:
                    return action()
        except (_Transient, httpx.TransportError) as error:
            raise DownloadFailed(
                f"no answer after {self._attempts} tries: {error or type(error).__name__}; run the same command again, "
                "it goes on where it stopped"
            ) from error
        raise AssertionError("retry_context neither returned nor raised")


def parse_index(text: str) -> dict[str, str]:
    """Archive names and addresses of lines ``name=url``. Raises IndexUnusable when a line is neither that nor empty."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, equals, url = line.strip().partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise IndexUnusable(f"line {number} of the archive index is {line[:80]!r}, not name=url: check its address")
        found[name] = _checked_url(url, f"archive {name}")
    if not found:
        raise IndexUnusable("the archive index is empty: check its address")
    return found


def _worth_retrying(error: Exception) -> bool | float:
    if isinstance(error, _Transient) and error.wait_s is not None:
        return error.wait_s
    return isinstance(error, _Transient | httpx.TransportError)


def _raise_for(response: httpx.Response, what: str) -> None:
    code = response.status_code
    if code == httpx.codes.TOO_MANY_REQUESTS or code >= 500:
        after = response.headers.get("retry-after", "")
        raise _Transient(f"{what}: the server answers {code}", min(float(after), 60.0) if after.isdecimal() else None)
    if code >= 400:
        raise DownloadFailed(f"{what}: the server answers {code} for {response.request.url}; check the index address")


def _total(response: httpx.Response, have: int) -> int | None:
    """Length of the whole file, as announced; None when the server does not say."""
    of = response.headers.get("content-range", "").rpartition("/")[2]
    if of.isdecimal():
        return int(of)
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        return None  # its length is that of the refusal
    length = response.headers.get("content-length", "")
    return int(length) + have if length.isdecimal() else None


def _validator(response: httpx.Response) -> str:
    """What makes a later range request safe: a strong ETag or the date of change; empty when there is neither."""
    tag: str = response.headers.get("etag", "")
    date: str = response.headers.get("last-modified", "")
    return tag if tag and not tag.startswith("W/") else date


def _checked_url(url: str, what: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise IndexUnusable(f"{what} has the address {url[:120]!r}: only http and https addresses are used")
    return url


def _validator_path(part: Path) -> Path:
    return part.with_name(part.name + ".validator")
