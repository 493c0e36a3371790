"""Backups as Prometheus shows them: how old the newest good ones are, and how long others are owed.

What never was has no sample. Owed is what an alert needs to stay silent in a summer without games, and not to stay
silent where no backup was ever made.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from services.store_backups import BackupAges


def backup_families(ages: BackupAges) -> Iterator[Metric]:
    """Four ages in seconds."""
    shown = {
        "halftime_backup_age_seconds": ("Age of the newest good backup", ages.backup_s),
        "halftime_restore_test_age_seconds": ("Age of the newest restore test that went well", ages.restore_test_s),
        "halftime_backup_owed_seconds": ("Since the first game was decided that is in no backup", ages.owed_s),
        "halftime_restore_test_owed_seconds": ("Since the first backup after the newest such test", ages.untested_s),
    }
    for name, (text, seconds) in shown.items():
        family = GaugeMetricFamily(name, text)
        if seconds is not None:
            family.add_metric((), seconds)
        yield family
