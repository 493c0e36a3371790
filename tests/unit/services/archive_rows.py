"""Small season archives made from simulated games, and a server that hands them out."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd

from models.league_schedule import EASTERN
from models.teams import TEAMS

_MSG = {
    "made_fg": 1, "missed_fg": 2, "free_throw": 3, "rebound": 4, "turnover": 5, "foul": 6, "violation": 7,
    "substitution": 8, "timeout": 9, "jump_ball": 10, "ejection": 11, "period_start": 12, "period_end": 13,
    "instant_replay": 18,
}  # fmt: skip
_LIVE = {"free_throw": "freethrow", "instant_replay": "instantreplay"}


def v2_rows(plays: pd.DataFrame, games: pd.DataFrame) -> pd.DataFrame:
    """The plays as rows of stats.nba.com V2, with the game id as a bare number, as the archives write it."""
    home_of = dict(zip(games["game_id"], games["home"], strict=True))
    rows = []
    for play in plays.to_dict("records"):
        points, at_home = play["points_home"] + play["points_away"], play["team"] == home_of[play["game_id"]]
        minute, second = divmod(play["clock_seconds_remaining"], 60)
        text = {
            "made_fg": f"Somebody 20' {'3PT ' if points == 3 else ''}Jump Shot ({points} PTS)",
            "missed_fg": "MISS Somebody 12' Jump Shot",
            "free_throw": "Somebody Free Throw 1 of 2 (3 PTS)" if points else "MISS Somebody Free Throw 1 of 2",
        }.get(play["action_type"], "Somebody " + play["action_type"])
        shows = points > 0 or play["action_type"] == "period_end"
        rows.append(
            {
                "GAME_ID": int(play["game_id"]),
                "EVENTNUM": play["event_num"],
                "EVENTMSGTYPE": _MSG[play["action_type"]],
                "EVENTMSGACTIONTYPE": 0,
                "PERIOD": play["period"],
                "WCTIMESTRING": play["time_actual_et_minute"].strftime("%I:%M %p").lstrip("0"),
                "PCTIMESTRING": f"{minute}:{second:02d}",
                "HOMEDESCRIPTION": text if at_home else None,
                "NEUTRALDESCRIPTION": text if pd.isna(play["team"]) else None,
                "VISITORDESCRIPTION": text if not at_home and not pd.isna(play["team"]) else None,
                "SCORE": f"{play['score_away']} - {play['score_home']}" if shows else None,
                "PLAYER1_TEAM_ABBREVIATION": play["team"],
            }
        )
    return pd.DataFrame(rows)


def shot_rows(games: pd.DataFrame) -> pd.DataFrame:
    """Two shots a game, with the columns of a shotdetail archive that matter."""
    one = pd.DataFrame(
        {
            "GRID_TYPE": "Shot Chart Detail",
            "GAME_ID": games["game_id"].astype(int),
            "TEAM_ID": [TEAMS[t].team_id for t in games["home"]],
            "GAME_DATE": [day.strftime("%Y%m%d") for day in games["date"]],
            "HTM": games["home"],
            "VTM": games["away"],
        }
    )
    return pd.concat([one, one], ignore_index=True)


def live_rows(plays: pd.DataFrame) -> pd.DataFrame:
    """The plays as flattened actions of the live feed, last action first: only orderNumber tells the order."""
    points = plays["points_home"] + plays["points_away"]
    kind = plays["action_type"].where(~plays["action_type"].isin(["made_fg", "missed_fg"]), "2pt")
    kind = kind.where(points < 3, "3pt").replace(_LIVE)
    at = [
        (minute.to_pydatetime().replace(tzinfo=EASTERN) + timedelta(seconds=n % 60)).isoformat()
        for n, minute in enumerate(plays["time_actual_et_minute"])
    ]
    left = plays["clock_seconds_remaining"]
    rows = pd.DataFrame(
        {
            "gameId": plays["game_id"].astype(int),
            "orderNumber": plays["row"].astype(int) * 10_000,
            "period": plays["period"],
            "clock": [f"PT{s // 60:02d}M{s % 60:02d}.00S" for s in left],
            "timeActual": at,
            "actionType": kind,
            "teamTricode": plays["team"],
            "personId": plays["team"].notna() * 1,
            "shotResult": ["Made" if n else "Missed" for n in points],
            "scoreHome": plays["score_home"],
            "scoreAway": plays["score_away"],
        }
    )
    return rows.iloc[::-1]


def pack(frame: pd.DataFrame, name: str) -> bytes:
    """A tar.xz with ``name``.csv in it."""
    return pack_files({f"{name}.csv": frame.to_csv(index=False).encode()})


def pack_files(files: dict[str, bytes]) -> bytes:
    """A tar.xz with these files in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@dataclass
class Shelf:
    """What the server has and how it behaves. ``cut_after`` bytes of a body it hangs up, so many times."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    cut_after: int | None = None
    cuts_left: int = 0
    refusals: list[int] = field(default_factory=list)
    url: str = ""

    def put(self, name: str, archive: bytes) -> None:
        self.files[f"/{name}.tar.xz"] = archive
        listed = [f"{path[1:-7]}={self.url}{path}" for path in sorted(self.files) if path.endswith(".tar.xz")]
        self.files["/list_data.txt"] = "\n".join(listed).encode() + b"\n"


@contextmanager
def serving() -> Iterator[Shelf]:
    """A server on a free port of this machine that answers ranges as a real one does."""
    shelf = Shelf()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shelf.requests.append((self.path, self.headers.get("Range")))
            if shelf.refusals:
                self.send_response(shelf.refusals.pop(0))
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = shelf.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            start = 0
            if self.headers.get("Range") and self.headers.get("If-Range") == tag:
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            sent = body[start:]
            if shelf.cut_after is not None and shelf.cuts_left > 0 and self.path.endswith(".xz"):
                shelf.cuts_left -= 1
                sent = sent[: shelf.cut_after]
            self.wfile.write(sent)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    shelf.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """``frame`` as a CSV file; returns its path."""
    frame.to_csv(path, index=False)
    return path
