"""What the drills promise, without running them."""

from __future__ import annotations

import yaml  # type: ignore[import-untyped]

from infra import prometheus
from services.settings import ROOT


def test_every_alert_is_made_to_fire_in_the_drills() -> None:
    rules = yaml.safe_load(prometheus.RULES.read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    drills = (ROOT / "tests" / "drills" / "test_alerts.py").read_text(encoding="utf-8")
    assert {name for name in alerts if f'"{name}"' not in drills} == set()
