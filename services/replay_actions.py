"""A script's events as the live feed writes actions: the same types, fields, clock forms and order quirks.

The recorded events know the team, the points and the clock. What the feed shows beyond that (players, spots, blocks
and steals, officials) is invented from the game id alone, so a game looks the same every time it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Final

from models.clock import period_length_s
from models.teams import team as franchise
from services.replay_scribe import Action, Fields, Scribe, player_id, player_name
from services.replay_slate import Row, Script, SlateError

_FINAL_WHISTLE_S: Final = 20.0
_THREES_AMONG_MISSES: Final = 0.42
_BLOCKS_AMONG_MISSES: Final = 0.1
_STEALS_AMONG_TURNOVERS: Final = 0.55


def actions_of(script: Script) -> list[Action]:
    """The game's actions in the feed's order, its end last. Raises SlateError for an event of an unknown kind."""
    scribe = Scribe(script)
    free_throws = _free_throw_names(script.rows)
    for place, row in enumerate(script.rows):
        if row.action == "free_throw":
            _free_throw(scribe, row, free_throws[place])
            continue
        write = _WRITERS.get(row.action)
        if write is None:
            raise SlateError(f"game {script.game_id}: event {row.action!r} is not one of {', '.join(sorted(_WRITERS))}")
        write(scribe, row)
    last = script.rows[-1]
    whistle = last._replace(action="game_end", remaining_s=0.0, at_s=last.at_s + _FINAL_WHISTLE_S)
    scribe.possession = None
    scribe.add(whistle, "game", {"subType": "end", "description": "Game End"})
    return scribe.actions


def _period(scribe: Scribe, row: Row, edge: str) -> None:
    scribe.add(row, "period", {"subType": edge, "description": f"Period {edge.title()}"})


def _jump_ball(scribe: Scribe, row: Row) -> None:
    team = scribe.possession = scribe.side(row)
    won, lost, got = scribe.player(), scribe.player(), scribe.player()
    names = player_name(team, won), player_name(scribe.other(team), lost), player_name(team, got)
    first = row.remaining_s == period_length_s(row.period)
    more: Fields = {
        "subType": "recovered",
        "descriptor": "startperiod" if first else "heldball",
        "jumpBallRecoveredName": names[2],
        "jumpBallRecoverdPersonId": player_id(team, got),
        "jumpBallWonPlayerName": names[0],
        "jumpBallWonPersonId": player_id(team, won),
        "description": f"Jump Ball {names[0]} vs. {names[1]}: Tip to {names[2]}",
        "jumpBallLostPlayerName": names[1],
        "jumpBallLostPersonId": player_id(scribe.other(team), lost),
    }
    scribe.add(row, "jumpball", more, team, got)


def _shot(scribe: Scribe, row: Row, made: bool) -> None:
    team, number, random = scribe.side(row), scribe.player(), scribe.random
    scribe.possession = team
    three = row.points == 3 if made else random.random() < _THREES_AMONG_MISSES
    distance = random.uniform(22.0, 27.0) if three else random.uniform(0.5, 20.0)
    sub_type = "Jump Shot" if three or distance > 6 else random.choice(("Layup", "DUNK", "Hook"))
    label = f"{player_name(team, number)} {int(distance)}' {'3PT ' if three else ''}{sub_type}"
    more: Fields = {
        "subType": sub_type,
        "x": random.uniform(1.0, 99.0),
        "y": random.uniform(1.0, 99.0),
        "side": random.choice(("left", "right")),
        "shotDistance": round(distance, 2),
        "xLegacy": random.randrange(-240, 241),
        "yLegacy": random.randrange(-40, 420),
        "isFieldGoal": 1,
        "shotResult": "Made" if made else "Missed",
        "description": label if made else f"MISS {label}",
    }
    if random.random() < 0.5:
        more["descriptor"] = random.choice(("driving", "pullup", "running", "step back"))
    if made:
        more["pointsTotal"] = scribe.total("points", player_name(team, number), row.points)
        more["description"] += f" ({more['pointsTotal']} PTS)"
    blocker = scribe.player() if not made and random.random() < _BLOCKS_AMONG_MISSES else 0
    other = scribe.other(team)
    if blocker:
        more["blockPlayerName"] = player_name(other, blocker)
        more["blockPersonId"] = player_id(other, blocker)
    shot = scribe.add(row, "3pt" if three else "2pt", more, team, number)
    if not made:
        scribe.missed_by, scribe.missed_number = team, shot
    if blocker:
        count = scribe.total("blocks", player_name(other, blocker))
        scribe.add(row, "block", {"description": f"{player_name(other, blocker)} BLOCK ({count} BLK)"}, other, blocker)


def _free_throw(scribe: Scribe, row: Row, name: str) -> None:
    team, number = scribe.side(row), scribe.player()
    scribe.possession = team
    player = player_name(team, number)
    more: Fields = {"subType": name, "shotResult": "Made" if row.points else "Missed"}
    if row.points:
        more["pointsTotal"] = scribe.total("points", player, row.points)
        more["description"] = f"{player} Free Throw {name} ({more['pointsTotal']} PTS)"
    else:
        more["description"] = f"MISS {player} Free Throw {name}"
    shot = scribe.add(row, "freethrow", more, team, number)
    if not row.points:
        scribe.missed_by, scribe.missed_number = team, shot


def _rebound(scribe: Scribe, row: Row) -> None:
    team = row.team if row.team in (scribe.script.home, scribe.script.away) else scribe.other(scribe.missed_by)
    scribe.possession = str(team)
    kind = "offensive" if team == scribe.missed_by else "defensive"
    more: Fields = {"subType": kind, "shotActionNumber": scribe.missed_number}
    if row.team is None:
        scribe.add(row, "rebound", {**more, "description": "TEAM rebound"}, str(team))
        return
    number = scribe.player()
    player = player_name(str(team), number)
    counts = {name: scribe.total(f"{name} rebounds", player, int(name == kind)) for name in ("defensive", "offensive")}
    more["reboundTotal"] = sum(counts.values())
    more["reboundDefensiveTotal"], more["reboundOffensiveTotal"] = counts["defensive"], counts["offensive"]
    more["description"] = f"{player} REBOUND (Off:{counts['offensive']} Def:{counts['defensive']})"
    scribe.add(row, "rebound", more, str(team), number)


def _turnover(scribe: Scribe, row: Row) -> None:
    team = scribe.side(row)
    if row.team is None:
        scribe.add(row, "turnover", {"subType": "shot clock", "description": "TEAM shot clock TURNOVER"}, team)
        scribe.possession = scribe.other(team)
        return
    number, stolen = scribe.player(), scribe.random.random() < _STEALS_AMONG_TURNOVERS
    player, thief = player_name(team, number), scribe.player()
    other = scribe.other(team)
    kinds = ("bad pass", "lost ball") if stolen else ("traveling", "offensive foul", "out-of-bounds")
    more: Fields = {"subType": scribe.random.choice(kinds), "turnoverTotal": scribe.total("turnovers", player)}
    more["description"] = f"{player} {more['subType']} TURNOVER ({more['turnoverTotal']} TO)"
    if stolen:
        more["stealPlayerName"], more["stealPersonId"] = player_name(other, thief), player_id(other, thief)
    scribe.add(row, "turnover", more, team, number)
    scribe.possession = other
    if stolen:
        count = scribe.total("steals", player_name(other, thief))
        scribe.add(row, "steal", {"description": f"{player_name(other, thief)} STEAL ({count} STL)"}, other, thief)


def _foul(scribe: Scribe, row: Row) -> None:
    team, number = scribe.side(row), scribe.player()
    player, drawn = player_name(team, number), scribe.player()
    more: Fields = {
        "subType": "personal",
        "descriptor": scribe.random.choice(("shooting", "loose ball")),
        "officialId": scribe.random.randrange(1, 70),
        "foulPersonalTotal": scribe.total("fouls", player),
        "foulTechnicalTotal": 0,
        "foulDrawnPlayerName": player_name(scribe.other(team), drawn),
        "foulDrawnPersonId": player_id(scribe.other(team), drawn),
    }
    more["description"] = f"{player} personal FOUL ({more['foulPersonalTotal']} PF)"
    if row.team is None:
        # The bench's, as far as the record tells: no player has it.
        more["personId"] = 0
    scribe.add(row, "foul", more, team, number)


def _substitution(scribe: Scribe, row: Row) -> None:
    team = scribe.side(row)
    for way in ("out", "in"):
        number = scribe.player()
        more: Fields = {"subType": way, "description": f"SUB {way}: {player_name(team, number)}"}
        scribe.add(row, "substitution", more, team, number)


def _timeout(scribe: Scribe, row: Row) -> None:
    team = scribe.side(row)
    scribe.add(row, "timeout", {"subType": "full", "description": f"{team} Timeout"}, team)


def _violation(scribe: Scribe, row: Row) -> None:
    team, number = scribe.side(row), scribe.player() if row.team else 0
    sub_type = scribe.random.choice(("lane", "kicked ball", "defensive goaltending") if number else ("delay-of-game",))
    who = player_name(team, number) if number else franchise(team).name
    more: Fields = {"subType": sub_type, "description": f"{who} {sub_type} VIOLATION"}
    scribe.add(row, "violation", more, team, number)


def _instant_replay(scribe: Scribe, row: Row) -> None:
    scribe.add(row, "instantreplay", {"subType": "request", "description": "Instant Replay"})


def _ejection(scribe: Scribe, row: Row) -> None:
    team, number = scribe.side(row), scribe.player()
    more: Fields = {"subType": "other", "description": f"{player_name(team, number)} Ejection"}
    scribe.add(row, "ejection", more, team, number)


_WRITERS: Final[dict[str, Callable[[Scribe, Row], None]]] = {
    "period_start": partial(_period, edge="start"),
    "period_end": partial(_period, edge="end"),
    "jump_ball": _jump_ball,
    "made_fg": partial(_shot, made=True),
    "missed_fg": partial(_shot, made=False),
    "rebound": _rebound,
    "turnover": _turnover,
    "foul": _foul,
    "substitution": _substitution,
    "timeout": _timeout,
    "violation": _violation,
    "instant_replay": _instant_replay,
    "ejection": _ejection,
}


def _free_throw_names(rows: tuple[Row, ...]) -> dict[int, str]:
    """ "1 of 2" and the like for the places that are free throws, from those of one team at one stopped clock."""
    places = [place for place, row in enumerate(rows) if row.action == "free_throw"]
    names: dict[int, str] = {}
    for _, same in groupby(places, key=lambda place: (rows[place].period, rows[place].remaining_s, rows[place].team)):
        trip = list(same)
        size = len(trip) if len(trip) <= 3 else 2
        for turn, place in enumerate(trip):
            start = turn // size * size
            names[place] = f"{turn - start + 1} of {min(size, len(trip) - start)}"
    return names
