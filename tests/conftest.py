"""What every test may ask for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# A script in the background is started deaf to Ctrl-C, and so would be every program under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Folder with the recorded games, or a skip that says so."""
    named = os.environ.get("HALFTIME_DATA")
    if not named or not (Path(named) / "games.parquet").is_file():
        pytest.skip("skipped: no recorded games")
    return Path(named).resolve()
