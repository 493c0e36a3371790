"""The thirty NBA teams: tricode, id of the public feed, city, name, conference, division, home clock.

Older tricodes (a franchise that moved or was renamed) resolve to the franchise of today, because the feed keeps one
team id for it: New Jersey's games are Brooklyn's.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


class UnknownTeamError(ValueError):
    """A tricode or team id that no NBA franchise has."""


@dataclass(frozen=True, slots=True)
class Team:
    """One franchise. ``zone`` is the IANA time zone of its home arena."""

    tricode: str
    team_id: int
    city: str
    name: str
    conference: str
    division: str
    zone: str


_EASTERN, _CENTRAL = "America/New_York", "America/Chicago"
_MOUNTAIN, _ARIZONA, _PACIFIC = "America/Denver", "America/Phoenix", "America/Los_Angeles"

_TABLE: Final[tuple[tuple[str, int, str, str, str, str, str], ...]] = (
    ("ATL", 1610612737, "Atlanta", "Hawks", "East", "Southeast", _EASTERN),
    ("BKN", 1610612751, "Brooklyn", "Nets", "East", "Atlantic", _EASTERN),
    ("BOS", 1610612738, "Boston", "Celtics", "East", "Atlantic", _EASTERN),
    ("CHA", 1610612766, "Charlotte", "Hornets", "East", "Southeast", _EASTERN),
    ("CHI", 1610612741, "Chicago", "Bulls", "East", "Central", _CENTRAL),
    ("CLE", 1610612739, "Cleveland", "Cavaliers", "East", "Central", _EASTERN),
    ("DAL", 1610612742, "Dallas", "Mavericks", "West", "Southwest", _CENTRAL),
    ("DEN", 1610612743, "Denver", "Nuggets", "West", "Northwest", _MOUNTAIN),
    ("DET", 1610612765, "Detroit", "Pistons", "East", "Central", _EASTERN),
    ("GSW", 1610612744, "Golden State", "Warriors", "West", "Pacific", _PACIFIC),
    ("HOU", 1610612745, "Houston", "Rockets", "West", "Southwest", _CENTRAL),
    ("IND", 1610612754, "Indiana", "Pacers", "East", "Central", _EASTERN),
    ("LAC", 1610612746, "LA", "Clippers", "West", "Pacific", _PACIFIC),
    ("LAL", 1610612747, "Los Angeles", "Lakers", "West", "Pacific", _PACIFIC),
    ("MEM", 1610612763, "Memphis", "Grizzlies", "West", "Southwest", _CENTRAL),
    ("MIA", 1610612748, "Miami", "Heat", "East", "Southeast", _EASTERN),
    ("MIL", 1610612749, "Milwaukee", "Bucks", "East", "Central", _CENTRAL),
    ("MIN", 1610612750, "Minnesota", "Timberwolves", "West", "Northwest", _CENTRAL),
    ("NOP", 1610612740, "New Orleans", "Pelicans", "West", "Southwest", _CENTRAL),
    ("NYK", 1610612752, "New York", "Knicks", "East", "Atlantic", _EASTERN),
    ("OKC", 1610612760, "Oklahoma City", "Thunder", "West", "Northwest", _CENTRAL),
    ("ORL", 1610612753, "Orlando", "Magic", "East", "Southeast", _EASTERN),
    ("PHI", 1610612755, "Philadelphia", "76ers", "East", "Atlantic", _EASTERN),
    ("PHX", 1610612756, "Phoenix", "Suns", "West", "Pacific", _ARIZONA),
    ("POR", 1610612757, "Portland", "Trail Blazers", "West", "Northwest", _PACIFIC),
    ("SAC", 1610612758, "Sacramento", "Kings", "West", "Pacific", _PACIFIC),
    ("SAS", 1610612759, "San Antonio", "Spurs", "West", "Southwest", _CENTRAL),
    ("TOR", 1610612761, "Toronto", "Raptors", "East", "Atlantic", _EASTERN),
    ("UTA", 1610612762, "Utah", "Jazz", "West", "Northwest", _MOUNTAIN),
    ("WAS", 1610612764, "Washington", "Wizards", "East", "Southeast", _EASTERN),
)

TEAMS: Final = MappingProxyType({row[0]: Team(*row) for row in _TABLE})
TRICODES: Final[tuple[str, ...]] = tuple(TEAMS)

# Seasons from 1996-97 on, the span of the public archives.
FORMER_TRICODES: Final = MappingProxyType(
    {
        "NJN": "BKN",
        "NOH": "NOP",
        "NOK": "NOP",
        "CHH": "CHA",
        "SEA": "OKC",
        "VAN": "MEM",
        "PHO": "PHX",
        "GOS": "GSW",
        "UTH": "UTA",
        "SAN": "SAS",
        "PHL": "PHI",
    }
)

_BY_ID: Final = MappingProxyType({team.team_id: team for team in TEAMS.values()})


def team(tricode: str) -> Team:
    """The franchise of ``tricode``, today's or a former one. Raises UnknownTeamError."""
    found = TEAMS.get(FORMER_TRICODES.get(tricode, tricode))
    if found is None:
        raise UnknownTeamError(f"no NBA team has the tricode {tricode!r}: use one of {', '.join(TRICODES)}")
    return found


def team_by_id(team_id: int) -> Team:
    """The franchise of the feed's ``team_id`` (1610612737..1610612766). Raises UnknownTeamError."""
    found = _BY_ID.get(team_id)
    if found is None:
        raise UnknownTeamError(f"no NBA team has the id {team_id}: ids run from {min(_BY_ID)} to {max(_BY_ID)}")
    return found


def is_team(tricode: str) -> bool:
    """Whether ``tricode`` names a franchise, by its present or a former tricode."""
    return FORMER_TRICODES.get(tricode, tricode) in TEAMS
