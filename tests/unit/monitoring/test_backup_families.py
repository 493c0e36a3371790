"""Ages of backups as they are published."""

from __future__ import annotations

from monitoring.backup_families import backup_families
from services.store_backups import BackupAges


def samples(ages: BackupAges) -> dict[str, float]:
    return {sample.name: sample.value for family in backup_families(ages) for sample in family.samples}


def test_what_never_was_has_no_sample() -> None:
    assert samples(BackupAges()) == {}
    assert samples(BackupAges(owed_s=3.0)) == {"halftime_backup_owed_seconds": 3.0}


def test_every_age_is_published_under_a_name_of_its_own() -> None:
    assert samples(BackupAges(backup_s=1.0, restore_test_s=2.0, owed_s=0.0, untested_s=4.0)) == {
        "halftime_backup_age_seconds": 1.0,
        "halftime_restore_test_age_seconds": 2.0,
        "halftime_backup_owed_seconds": 0.0,
        "halftime_restore_test_owed_seconds": 4.0,
    }
