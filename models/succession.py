"""Which of two snapshots of a game is its state: polls come late, come twice, and come from stale caches."""

from __future__ import annotations

from enum import StrEnum

from models.game import Snapshot, SnapshotError, Status


class Verdict(StrEnum):
    """How a new snapshot relates to the one before it."""

    NEW = "new"
    SAME = "same"
    STALE = "stale"
    CORRECTION = "correction"


def supersedes(previous: Snapshot | None, new: Snapshot, *, later: bool = True) -> Verdict:
    """Whether ``new`` should replace ``previous`` as the state of its game. ``later``: not polled before that one.

    A stale cache shows an OLDER state: less game time, or the same with older edits. A correction takes plays or
    points back at the same or later game time with a newer edit. Only NEW and CORRECTION change the state.
    """
    if previous is None:
        return Verdict.NEW
    if previous.game_id != new.game_id:
        raise SnapshotError(f"snapshots of two games compared: {previous.game_id} and {new.game_id}")
    if previous.digest == new.digest:
        return Verdict.SAME
    if new.status is Status.POSTPONED and previous.status is Status.LIVE:
        # Broken off: the schedule's line has no plays to compare, and no older copy of it says postponed.
        return Verdict.NEW
    before, after = _progress(previous), _progress(new)
    newer_edit = new.edited_at is not None and previous.edited_at is not None and new.edited_at > previous.edited_at
    if not later and not newer_edit:
        # Handled out of order. A poller whose clock is behind may call a new state earlier, but not its edit.
        return Verdict.STALE
    if after > before:
        return Verdict.NEW
    if after == before:
        if newer_edit:
            return Verdict.CORRECTION
        # Same clock, no newer edit: more plays at a stopped clock (free throws) or an older copy of them.
        last_new = new.plays[-1].order if new.plays else -1
        last_old = previous.plays[-1].order if previous.plays else -1
        if last_new != last_old:
            return Verdict.NEW if last_new > last_old else Verdict.STALE
        # Edit stamps count whole seconds: of two edits within one, nothing tells which came first. Taking the newer
        # poll mends itself with the next one, while calling it stale would stay wrong until another edit.
        return Verdict.CORRECTION if new.edited_at == previous.edited_at else Verdict.STALE
    # Game time went down: a replay review can put time back on the clock, an old copy never has a newer edit.
    return Verdict.CORRECTION if newer_edit else Verdict.STALE


_RANK = {Status.SCHEDULED: 0, Status.POSTPONED: 0, Status.LIVE: 1, Status.FINAL: 2}


def _progress(snapshot: Snapshot) -> tuple[int, int, float, bool]:
    return (_RANK[snapshot.status], snapshot.period, snapshot.t, snapshot.period_ended)
