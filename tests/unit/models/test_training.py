import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.bundle import load_bundle, write_bundle
from models.history import History
from models.lstm_training import LstmSpec
from models.metrics import rmse
from models.ratings import rate_history
from models.training import Games, TrainingError, TrainingResult, TrainingSpec, split, train
from tests.unit.models.builders import make_history

pytest.importorskip("torch")

HISTORY = make_history(700)
AS_OF = dt.date(2019, 5, 1)
SPEC = TrainingSpec(
    as_of=AS_OF,
    calibration_games=150,
    validation_games=100,
    neighbours=50,
    minutes=(6, 18),
    lstm=LstmSpec(hidden=4, epochs=2, batch=64),
)


@pytest.fixture(scope="module")
def small() -> TrainingResult:
    return train(HISTORY, SPEC)


def games(history: History = HISTORY) -> Games:
    return Games(history, rate_history(history)[0])


def test_fit_calibration_and_test_follow_each_other_and_share_no_date() -> None:
    parts = split(games(), SPEC)
    assert parts[2] is None
    fit, calibration = parts[0].history, parts[1].history
    assert fit.last_date < calibration.first_date
    assert 150 <= len(calibration) < 154
    assert len(fit) + len(calibration) == 700


def test_seasons_can_be_named_for_each_purpose() -> None:
    years = [make_history(40, season, dt.date(season, 10, 20), season) for season in (2016, 2017, 2018)]
    whole = History(
        **{
            name: np.concatenate([getattr(year, name) for year in years])
            for name in (
                "game_id",
                "season",
                "season_type",
                "date",
                "home",
                "away",
                "margins",
                "final_margin",
                "possession",
            )
        },
        source="simulated",
    )
    named = replace(SPEC, fit_seasons=(2016,), calibration_seasons=(2017,), test_seasons=(2018,))
    fit, calibration, test = split(games(whole), named)
    assert test is not None
    assert [set(part.history.season.tolist()) for part in (fit, calibration, test)] == [{2016}, {2017}, {2018}]
    with pytest.raises(TrainingError, match="no game for fit in season 2015"):
        split(games(whole), replace(named, fit_seasons=(2015, 2016)))
    with pytest.raises(TrainingError, match="no game for calibration in season 2018"):
        split(games(whole), replace(named, calibration_seasons=(2018,)))


def test_nothing_on_or_after_as_of_is_read(small: TrainingResult) -> None:
    day = dt.date(2019, 2, 15)
    upto = HISTORY.take(HISTORY.date < np.datetime64(day))
    one, other = (train(history, replace(SPEC, as_of=day)).ensemble for history in (HISTORY, upto))
    assert one.trained_through < day
    assert one.ratings_as_of == dt.date(2019, 2, 14)
    pattern = [1.0] * 18
    assert one.forecast(pattern, 18, 0.1, 2.0) == other.forecast(pattern, 18, 0.1, 2.0)
    assert one.calibration_id == other.calibration_id != small.ensemble.calibration_id


def test_training_again_gives_the_same_bits(small: TrainingResult) -> None:
    again = train(HISTORY, SPEC)
    assert again.figures == small.figures
    assert again.ensemble.calibration_id == small.ensemble.calibration_id


def test_figures_and_plots_are_plain_numbers(small: TrainingResult) -> None:
    assert {type(value) for value in small.figures.values()} == {float}
    json.dumps({"figures": small.figures, "plots": small.plots, "spec": SPEC.as_dict()}, allow_nan=False)
    assert small.figures["games_test"] == pytest.approx(small.figures["games_calibration"] / 2, abs=1)
    for columns in small.plots.values():
        assert len({len(column) for column in columns.values()}) == 1


def test_progress_rises_to_one() -> None:
    told: list[tuple[str, float]] = []
    train(HISTORY, SPEC, lambda stage, done: told.append((stage, done)))
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert told[-1] == ("done", 1.0)
    assert {"ratings", "weights", "network", "calibration", "figures"} <= {stage for stage, _ in told}


def test_a_history_too_short_is_refused_with_numbers() -> None:
    with pytest.raises(TrainingError, match="calibration needs 1300 games and some older ones, there are 700"):
        train(HISTORY, replace(SPEC, calibration_games=1300))
    with pytest.raises(TrainingError, match="452 games to fit, 600 neighbours asked"):
        train(HISTORY, replace(SPEC, neighbours=600, calibration_games=148))


@pytest.fixture(scope="module")
def real(recorded: Path) -> TrainingResult:
    """Fit 2013 to 2020, calibrate on 2021, test on 2022."""
    history = History.from_frame(pd.read_parquet(recorded / "games.parquet"), "recorded")
    spec = TrainingSpec(
        as_of=dt.date(2023, 7, 1),
        fit_seasons=tuple(range(2013, 2021)),
        calibration_seasons=(2021,),
        test_seasons=(2022,),
    )
    return train(history, spec)


def test_on_recorded_games_the_ensemble_beats_persistence(real: TrainingResult) -> None:
    figures = real.figures
    assert figures["games_test"] == 1314
    assert figures["rmse_persistence"] == pytest.approx(6.092, abs=0.001)
    assert figures["mae_persistence"] == pytest.approx(4.879, abs=0.001)
    assert figures["rmse"] < 6.01
    assert figures["mae"] < 4.83
    assert figures["crps"] < 3.41 < figures["crps_persistence"]
    assert figures["skill_squared_lower"] > 0.0
    assert figures["skill_crps_lower"] > 0.0


def test_on_recorded_games_without_rating_it_still_beats_persistence(real: TrainingResult) -> None:
    assert real.figures["rmse_unrated"] < real.figures["rmse_persistence"]
    assert real.figures["crps_unrated"] < real.figures["crps_persistence"]


def test_on_recorded_games_a_95_percent_interval_covers_94_to_96(real: TrainingResult) -> None:
    assert 0.94 <= real.figures["coverage"] <= 0.96
    # A half-width near 4 would mean leakage.
    assert 21.0 < real.figures["mean_width"] < 25.0


def test_on_recorded_games_every_minute_beats_persistence(real: TrainingResult) -> None:
    by_minute = real.plots["by_minute"]
    assert by_minute["minute"] == [float(minute) for minute in range(24)]
    assert all(ours < theirs for ours, theirs in zip(by_minute["rmse"], by_minute["rmse_persistence"], strict=True))


def test_on_recorded_games_the_batch_figures_are_those_of_single_forecasts(
    recorded: Path, real: TrainingResult
) -> None:
    history = History.from_frame(pd.read_parquet(recorded / "games.parquet"), "recorded")
    ratings, _ = rate_history(history)
    rows = np.flatnonzero(history.season == 2022)
    errors = []
    for row in rows:
        forecast = real.ensemble.forecast(history.margins[row, 1:19].tolist(), 18, 0.05, float(ratings[row]))
        errors.append(history.margins[row, 24] - forecast.point)
    assert rmse(errors) == pytest.approx(real.figures["rmse"], abs=1e-9)


def test_a_recorded_bundle_survives_the_disk(real: TrainingResult, tmp_path: Path) -> None:
    extra = {"code_version": "test", "figures": real.figures, "spec": real.spec.as_dict()}
    digest = write_bundle(real.ensemble, tmp_path / "bundle", extra)
    loaded = load_bundle(tmp_path / "bundle", digest)
    pattern = [2, 4, 4, 5, 7, 3, 1, 0, -2, -2, 1, 3, 5, 5, 6, 8, 9, 7]
    rating = loaded.ratings.expected("BOS", "PHX")
    assert loaded.forecast(pattern, 18, 0.05, rating) == real.ensemble.forecast(pattern, 18, 0.05, rating)
    assert sum(file.stat().st_size for file in (tmp_path / "bundle").iterdir()) < 8 * 1024 * 1024
