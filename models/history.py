"""Settled games as arrays in date order: what training, backtest and ratings read."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.clock import HALFTIME_MINUTE

if TYPE_CHECKING:
    import pandas as pd

MINUTES_RECORDED = 49
SOURCES = ("recorded", "archive", "simulated")
MARGIN_COLUMNS = tuple(f"diff_{minute:02d}" for minute in range(MINUTES_RECORDED))
POSSESSION_COLUMNS = tuple(f"poss_{minute:02d}" for minute in range(HALFTIME_MINUTE))
COLUMNS = ("game_id", "season", "season_type", "date", "home", "away", *MARGIN_COLUMNS, "diff_final")


class HistoryError(ValueError):
    """Rows that are not a history of games."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one game ended; ``margin`` is home minus away, overtime included."""

    game_id: str
    season: int
    date: dt.date
    home: str
    away: str
    margin: int


@dataclass(frozen=True, eq=False)
class History:
    """n settled games of one source, ordered by (date, game_id).

    ``game_id`` U10[n], ``season`` int16[n] (2022 is 2022-23), ``season_type`` U8[n] regular or playoffs, ``date``
    datetime64[D][n] league dates, ``home`` and ``away`` U3[n] tricodes, ``margins`` int16[n, 49] margin(0)..margin(48),
    ``final_margin`` int16[n], ``possession`` int8[n, 24] who has the ball at minutes 0..23 (+1 home, -1 away, 0 loose
    or not recorded). Built from any order of rows; equal rows give equal arrays. Raises HistoryError.
    """

    game_id: NDArray[np.str_]
    season: NDArray[np.int16]
    season_type: NDArray[np.str_]
    date: NDArray[np.datetime64]
    home: NDArray[np.str_]
    away: NDArray[np.str_]
    margins: NDArray[np.int16]
    final_margin: NDArray[np.int16]
    possession: NDArray[np.int8]
    source: str

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise HistoryError(f"source is {self.source!r}: it must be one of {', '.join(SOURCES)}")
        n = len(self.game_id)
        for name in _ARRAYS:
            if len(getattr(self, name)) != n:
                raise HistoryError(f"{name} has {len(getattr(self, name))} rows, game_id has {n}")
        if self.margins.shape != (n, MINUTES_RECORDED):
            raise HistoryError(f"margins has shape {self.margins.shape}, not ({n}, {MINUTES_RECORDED})")
        if self.possession.shape != (n, HALFTIME_MINUTE):
            raise HistoryError(f"possession has shape {self.possession.shape}, not ({n}, {HALFTIME_MINUTE})")
        order = np.lexsort((self.game_id, self.date))
        for name in _ARRAYS:
            ordered = getattr(self, name)[order]
            ordered.flags.writeable = False
            object.__setattr__(self, name, ordered)
        self._check_rows()

    @cached_property
    def digest(self) -> str:
        """Names these games and all that is recorded of them: 16 hex digits."""
        digest = hashlib.sha256(self.source.encode())
        for name in _ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()[:16]

    def _check_rows(self) -> None:
        unique, counts = np.unique(self.game_id, return_counts=True)
        if (counts > 1).any():
            raise HistoryError(f"game {unique[counts > 1][0]} comes more than once: load each game one time")
        if np.isnat(self.date).any():
            raise HistoryError(f"game {self.game_id[np.isnat(self.date)][0]} has no date")
        selfsame = self.home == self.away
        if selfsame.any():
            raise HistoryError(f"game {self.game_id[selfsame][0]}: {self.home[selfsame][0]} plays itself")
        beyond = (np.abs(self.possession) > 1).any(axis=1)
        if beyond.any():
            raise HistoryError(f"game {self.game_id[beyond][0]} has a possession other than -1, 0 and 1")
        started = self.margins[:, 0] != 0
        if started.any():
            raise HistoryError(f"game {self.game_id[started][0]} starts at margin {self.margins[started][0, 0]}, not 0")

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, source: str | None = None) -> History:
        """From rows with the columns of ``COLUMNS``; those of ``POSSESSION_COLUMNS`` are 0 where they are left out.

        The source is the frame's ``source`` column, one for all rows, or the argument when there is no such column.
        Raises HistoryError.
        """
        missing = [name for name in COLUMNS if name not in frame.columns]
        if missing:
            raise HistoryError(f"the frame lacks {len(missing)} columns, the first is {missing[0]!r}")
        if "source" in frame.columns:
            found = sorted({str(value) for value in frame["source"].unique()})
            if source is not None:
                found = sorted({*found, source})
            if len(found) != 1:
                raise HistoryError(f"sources {found}: a history holds games of one source")
            source = found[0]
        if source is None:
            raise HistoryError("the frame has no source column: say where the games come from")
        absent = frame[list(MARGIN_COLUMNS)].isna().any(axis=1) | frame["diff_final"].isna()
        if absent.any():
            raise HistoryError(f"game {frame.loc[absent, 'game_id'].iloc[0]} lacks margins: leave unfinished games out")
        margins = frame[list(MARGIN_COLUMNS)].to_numpy(dtype=np.int16)
        possession = np.zeros((len(frame), HALFTIME_MINUTE), dtype=np.int8)
        told = [name for name in POSSESSION_COLUMNS if name in frame.columns]
        if told:
            if told != list(POSSESSION_COLUMNS):
                raise HistoryError(f"the frame has {len(told)} of {HALFTIME_MINUTE} possession columns: all or none")
            possession = frame[told].to_numpy(dtype=np.int8)
        return cls(
            game_id=frame["game_id"].to_numpy().astype("U10"),
            season=frame["season"].to_numpy(dtype=np.int16),
            season_type=frame["season_type"].to_numpy().astype("U8"),
            date=frame["date"].to_numpy().astype("datetime64[D]"),
            home=frame["home"].to_numpy().astype("U3"),
            away=frame["away"].to_numpy().astype("U3"),
            margins=margins,
            final_margin=frame["diff_final"].to_numpy(dtype=np.int16),
            possession=possession,
            source=source,
        )

    def __len__(self) -> int:
        return len(self.game_id)

    def take(self, rows: NDArray[Any] | slice) -> History:
        """The games at ``rows``: a boolean mask, indices or a slice."""
        return History(**{name: getattr(self, name)[rows] for name in _ARRAYS}, source=self.source)

    def before(self, day: dt.date) -> History:
        """Games with a league date strictly before ``day``."""
        return self.take(self.date < np.datetime64(day, "D"))

    def seasons(self, *years: int) -> History:
        """Games of the seasons that started in ``years``."""
        return self.take(np.isin(self.season, years))

    @property
    def first_date(self) -> dt.date:
        """League date of the oldest game. Raises HistoryError when there is none."""
        return self._date_at(0)

    @property
    def last_date(self) -> dt.date:
        """League date of the newest game. Raises HistoryError when there is none."""
        return self._date_at(-1)

    def _date_at(self, place: int) -> dt.date:
        if not len(self):
            raise HistoryError("an empty history has no dates")
        return as_date(self.date[place])

    def change(self, minute: int) -> NDArray[np.int16]:
        """margin(24) - margin(minute), int16[n]: what a forecaster at ``minute`` has to say."""
        return self.margins[:, HALFTIME_MINUTE] - self.margins[:, minute]

    def results(self) -> Iterator[Result]:
        """The games' ends in date order, as the ratings take them."""
        for row in range(len(self)):
            yield Result(
                str(self.game_id[row]), int(self.season[row]), as_date(self.date[row]),
                str(self.home[row]), str(self.away[row]), int(self.final_margin[row]),
            )  # fmt: skip


_ARRAYS = tuple(field.name for field in fields(History) if field.name != "source")


def as_date(day: np.datetime64) -> dt.date:
    """A plain date from a datetime64[D]."""
    plain = day.astype("datetime64[D]").item()
    if not isinstance(plain, dt.date):
        raise HistoryError(f"{day!r} is not a date")
    return plain
