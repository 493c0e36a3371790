"""plotly.js as the installed plotly wheel carries it, served under a name that holds its digest.

The name changes when the file does, so browsers may keep it for a year and never ask again; whoever does ask gets 304.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

IN_WHEEL = Path("package_data") / "plotly.min.js"
YEAR_S = 365 * 24 * 3600
# 4.5 MB become 1.4 MB; the levels above 6 take twice as long for one part in a hundred less.
GZIP_LEVEL = 6


class PlotlyMissingError(RuntimeError):
    """The plotly wheel, or the plotly.js in it, is not where it should be."""


class PlotlyScript:
    """The file at ``path``; ``name`` is what its URL ends in. Raises PlotlyMissingError."""

    def __init__(self, path: Path) -> None:
        try:
            self._digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise PlotlyMissingError(f"{path} cannot be read ({error.strerror}): install requirements.lock") from error
        self._path = path
        self._gzipped: bytes | None = None
        self.name = f"plotly-{self._digest[:16]}.min.js"

    async def respond(self, request: Request) -> Response:
        """The script, compressed when the client takes that; 304 when it has it; 404 under another digest's name."""
        if request.path_params["name"] != self.name:
            return Response(status_code=404)
        packed = "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{self._digest[:32]}{"-gzip" if packed else ""}"'
        headers = {"cache-control": f"public, max-age={YEAR_S}, immutable", "etag": etag, "vary": "Accept-Encoding"}
        known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
        if etag in known:
            return Response(status_code=304, headers=headers)
        if not packed:
            return FileResponse(self._path, media_type="text/javascript", headers=headers)
        headers["content-encoding"] = "gzip"
        return Response(await run_in_threadpool(self._pack), media_type="text/javascript", headers=headers)

    def _pack(self) -> bytes:
        if self._gzipped is None:
            self._gzipped = gzip.compress(self._path.read_bytes(), GZIP_LEVEL, mtime=0)
        return self._gzipped


@cache
def plotly_script() -> PlotlyScript:
    """The installed wheel's script, read once a process. Raises PlotlyMissingError."""
    # Found without importing plotly, which takes half a second and is not needed.
    found = find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise PlotlyMissingError("the plotly wheel is not installed: install requirements.lock")
    return PlotlyScript(Path(found.submodule_search_locations[0]) / IN_WHEEL)
