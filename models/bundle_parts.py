"""An ensemble taken apart into arrays and manifest values, and put together again."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adaptive import Ledger
from models.bundle_format import BadArray, BadManifest, Manifest
from models.calibration import Calibration, Case
from models.conformal import CalibrationSet
from models.dejavu import Dejavu
from models.ensemble import Ensemble
from models.forecast import Weights
from models.lstm import LSTM_ARRAYS, Lstm
from models.mixture import Mixture
from models.ratings import RatingParams, Ratings

Arrays = dict[str, NDArray[Any]]

_LSTM_AXES = {name: 2 if name in ("input_weights", "hidden_weights", "rule") else 1 for name in LSTM_ARRAYS}

# Each array's dtype and number of axes. Nothing else is read from a bundle, so no name leads out of its folder.
ARRAYS: Mapping[str, tuple[str, int]] = {
    "dejavu_game_id": ("|S10", 1),
    "dejavu_date": ("<i4", 1),  # days since 1970-01-01
    "dejavu_home": ("|S3", 1),
    "dejavu_away": ("|S3", 1),
    "dejavu_margins": ("<i2", 2),
    "dejavu_ratings": ("<i2", 1),
    "calibration_minute": ("<i2", 1),
    "calibration_rated": ("|b1", 1),
    "calibration_possession": ("|b1", 1),
    "calibration_game_id": ("|S10", 1),
    "calibration_residual": ("<f8", 1),
    "calibration_below": ("<f8", 1),
    "calibration_upto": ("<f8", 1),
    **{f"lstm_{name}": ("<f8", axes) for name, axes in _LSTM_AXES.items()},
}


def take_apart(ensemble: Ensemble) -> tuple[Arrays, dict[str, Any]]:
    """The arrays by name, and the manifest's keys that describe the model."""
    mixture, memory, sets = ensemble.mixture, ensemble.mixture.dejavu, ensemble.calibration
    sizes = [len(games) for games in sets.values()]
    arrays: Arrays = {
        "dejavu_game_id": memory.game_id,
        "dejavu_date": memory.date.astype("datetime64[D]").astype(np.int64),
        "dejavu_home": memory.home,
        "dejavu_away": memory.away,
        "dejavu_margins": memory.margins,
        "dejavu_ratings": memory.ratings,
        "calibration_minute": np.repeat([case.minute for case in sets], sizes),
        "calibration_rated": np.repeat([case.rated for case in sets], sizes),
        "calibration_possession": np.repeat([case.possession for case in sets], sizes),
        "calibration_game_id": np.array(
            [game_id for games in sets.values() for game_id in games.errors.game_ids], dtype="S10"
        ),
        "calibration_residual": np.concatenate([games.errors.residuals for games in sets.values()]),
        "calibration_below": np.concatenate([games.below for games in sets.values()]),
        "calibration_upto": np.concatenate([games.upto for games in sets.values()]),
        **{f"lstm_{name}": getattr(mixture.lstm, name) for name in LSTM_ARRAYS},
    }
    stored = {name: np.ascontiguousarray(array.astype(ARRAYS[name][0])) for name, array in arrays.items()}
    ratings = ensemble.ratings
    as_of = None if ratings.as_of is None else ratings.as_of.isoformat()
    return stored, {
        "source": ensemble.source,
        "trained_through": ensemble.trained_through.isoformat(),
        "ratings_as_of": as_of,
        "calibration_id": ensemble.calibration_id,
        "weights": {_rated_name(rated): asdict(weights) for rated, weights in mixture.weights.items()},
        "possession_value": mixture.possession_value,
        "neighbours": memory.neighbours,
        "ledgers": {str(minute): ledger.as_dict() for minute, ledger in ensemble.ledgers.items()},
        "ratings": {
            "params": asdict(ratings.params),
            "season": ratings.season,
            "values": dict(ratings.values),
            "courts": dict(ratings.courts),
            "last_played": {team: day.isoformat() for team, day in ratings.last_played.items()},
        },
    }


def put_together(arrays: Arrays, manifest: Manifest) -> Ensemble:
    """The ensemble ``take_apart`` was given. Raises BadManifest, BadArray."""
    body = manifest.body
    try:
        weights = {rated: Weights(**body["weights"][_rated_name(rated)]) for rated in (False, True)}
        ratings = Ratings(
            params=RatingParams(**body["ratings"]["params"]),
            as_of=manifest.ratings_as_of,
            season=None if body["ratings"]["season"] is None else int(body["ratings"]["season"]),
            values=body["ratings"]["values"],
            courts=body["ratings"]["courts"],
            last_played={team: date.fromisoformat(day) for team, day in body["ratings"]["last_played"].items()},
        )
        ledgers = {int(minute): Ledger.from_dict(ledger) for minute, ledger in body["ledgers"].items()}
        neighbours, possession_value = int(body["neighbours"]), float(body["possession_value"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadManifest(f"weights, possession, ratings or neighbours are not usable: {error!r}") from error
    try:
        lstm = Lstm(**{name: arrays[f"lstm_{name}"] for name in LSTM_ARRAYS})
        return Ensemble(
            mixture=Mixture(_dejavu(arrays, neighbours), lstm, weights, possession_value),
            ratings=ratings,
            calibration=_calibration(arrays),
            ledgers=ledgers,
            source=manifest.source,
            trained_through=manifest.trained_through,
        )
    except ValueError as error:
        raise BadArray(f"the arrays do not make a model: {error}") from error


def to_npy(array: NDArray[Any]) -> bytes:
    """The array as the bytes of an .npy file; the same array, the same bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def from_npy(name: str, content: bytes) -> NDArray[Any]:
    """The array ``name`` from its file. Raises BadArray unless type, axes and values are those of ``ARRAYS``."""
    dtype, axes = ARRAYS[name]
    try:
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False, max_header_size=1024)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError) as error:
        raise BadArray(f"{name}.npy is not an array file: {error}") from error
    if array.dtype != np.dtype(dtype) or array.ndim != axes:
        raise BadArray(f"{name} is {array.dtype.str} with {array.ndim} axes, not {dtype} with {axes}")
    if not array.size:
        raise BadArray(f"{name} is empty")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadArray(f"{name} holds NaN or Infinity")
    array.flags.writeable = False
    return array


def _dejavu(arrays: Arrays, neighbours: int) -> Dejavu:
    return Dejavu(
        game_id=_text(arrays["dejavu_game_id"]),
        date=arrays["dejavu_date"].astype(np.int64).astype("datetime64[D]"),
        home=_text(arrays["dejavu_home"]),
        away=_text(arrays["dejavu_away"]),
        margins=arrays["dejavu_margins"],
        ratings=arrays["dejavu_ratings"],
        neighbours=neighbours,
    )


def _calibration(arrays: Arrays) -> dict[Case, Calibration]:
    columns = {name.removeprefix("calibration_"): array for name, array in arrays.items() if "calibration_" in name}
    if len({len(column) for column in columns.values()}) != 1:
        raise BadArray("the calibration arrays have different lengths")
    game_ids = _text(columns["game_id"])
    states = zip(*(columns[name].tolist() for name in Case._fields), strict=True)
    sets: dict[Case, Calibration] = {}
    for case in sorted({Case(*state) for state in states}):
        rows = np.logical_and.reduce([columns[name] == value for name, value in case._asdict().items()])
        errors = CalibrationSet(tuple(game_ids[rows].tolist()), columns["residual"][rows])
        sets[case] = Calibration(errors, columns["below"][rows], columns["upto"][rows])
    return sets


def _text(array: NDArray[Any]) -> NDArray[np.str_]:
    try:
        return np.char.decode(array, "ascii")
    except UnicodeDecodeError as error:
        raise BadArray(f"a text array holds bytes that are not ASCII: {error}") from error


def _rated_name(rated: bool) -> str:
    return "rated" if rated else "unrated"
