"""The probe's note of when official forecasts arrive."""

from __future__ import annotations

import json

from flows.clientprobe import ClientProbe


def test_only_official_forecasts_are_noted_and_the_first_arrival_counts() -> None:
    probe = ClientProbe("ws://127.0.0.1:1/ws")
    for minute, revision in ((17, 0), (18, 0), (18, 1), (19, 0)):
        data = {"minute": minute, "revision": revision}
        probe._note(json.dumps({"type": "forecast", "game_id": "0022200785", "data": data}))
    probe._note(json.dumps({"type": "score", "game_id": "0022200785", "data": {}}))
    first = probe.received()
    assert set(first) == {("0022200785", 0), ("0022200785", 1)}
    probe._note(json.dumps({"type": "forecast", "game_id": "0022200785", "data": {"minute": 18, "revision": 0}}))
    assert probe.received() == first
