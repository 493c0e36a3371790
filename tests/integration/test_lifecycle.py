"""The nightly steps on the real PostgreSQL and MLflow: shadows, verdicts, and kills between any two steps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from flows import champion as champion_module
from flows import wiring
from flows.audit import model_report
from flows.champion import CHALLENGER, CHAMPION, pointed
from flows.evaluate import evaluate
from flows.promote import NothingBefore, promote, roll_back
from flows.recalibrate import recalibrate
from flows.reproduce import reproduce_prediction
from flows.train import NotBetter
from services.registry import Registry
from services.settings import Settings
from services.store import Store
from tests.support.lifecycle_world import (
    MINUTES,
    begin,
    honest,
    lean,
    lifecycle_settings,
    night_of,
    play,
    registered,
    served,
)
from tests.support.servers import PostgresServer


@pytest.fixture
def settings(database_url: str, mlflow_url: str, tmp_path: Path) -> Settings:
    return lifecycle_settings(database_url, mlflow_url, tmp_path)


def aliases(settings: Settings) -> dict[str, str]:
    found = {name: pointed(wiring.registry(settings), name) for name in (CHAMPION, CHALLENGER)}
    return {name: version.version for name, version in found.items() if version}


def night(settings: Settings, store: Store, number: int, games: int = 6) -> Any:
    play(settings, store, served(settings, store), number, games)
    recalibrate(settings, league_date=night_of(number))
    return evaluate(settings, league_date=night_of(number))


def test_the_settled_games_make_a_version_that_is_champion_by_rule(settings: Settings, store: Store) -> None:
    begin(settings, store, honest())
    play(settings, store, served(settings, store), 0)
    made = recalibrate(settings, league_date=night_of(0))
    assert (made.version, made.settled) == ("2", 6)
    newest = store.promotion_at(settings.model_name)
    assert newest is not None
    assert (newest.model_version, newest.decided_kind, newest.decided_by) == ("2", "rule", "rule: recalibration")
    one, two = reversed(store.model_history(settings.model_name))
    assert (two.parent_version, two.kind, two.lineage) == ("1", "recalibrated", one.lineage)
    again = recalibrate(settings, league_date=night_of(0))
    assert (again.version, again.settled) == (None, 0), "the same night again changes nothing"


def test_while_a_game_is_played_nothing_is_recalibrated_unless_asked_to(settings: Settings, store: Store) -> None:
    begin(settings, store, honest())
    play(settings, store, served(settings, store), 0)
    store.upsert_schedule(game_id="0022100999", source="simulated", league_date=night_of(0), home="BOS", away="DEN")
    waiting = recalibrate(settings, league_date=night_of(0))
    assert (waiting.version, waiting.open_games) == (None, 1)
    assert "not over" in waiting.line()
    assert recalibrate(settings, league_date=night_of(0), patient=False).version == "2"


def test_a_game_settled_late_still_enters_the_calibration(settings: Settings, store: Store) -> None:
    begin(settings, store, honest())
    model = served(settings, store)
    play(settings, store, model, 1, games=3)
    assert recalibrate(settings, league_date=night_of(1)).settled == 3
    play(settings, store, model, 0, games=2)
    assert recalibrate(settings, league_date=night_of(1)).settled == 2


def test_shadows_are_stored_settled_and_told_to_nobody(settings: Settings, store: Store) -> None:
    begin(settings, store, honest(), lean(honest(), 1.0))
    ids = play(settings, store, served(settings, store), 0)
    before = [store.settlement(game_id) for game_id in ids]
    evaluate(settings, league_date=night_of(0))
    with store.engine.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT f.game_id, f.minute, f.model_version, s.error, p.request_id FROM forecasts f"
                " JOIN predictions p ON p.id = f.prediction_id JOIN settlements s ON s.forecast_id = f.id"
                " WHERE f.role = 'shadow'"
            )
        ).all()
    assert {(row.game_id, row.minute) for row in rows} == {(game_id, minute) for game_id in ids for minute in MINUTES}
    assert {row.model_version for row in rows} == {"2"}
    assert all(row.request_id.startswith("shadow:") for row in rows)
    assert [store.settlement(game_id) for game_id in ids] == before, "the champion's figures are what they were"
    duels = store.duels(
        settings.model_name, *(one.lineage for one in reversed(store.model_history(settings.model_name))),
        source="simulated", minutes=MINUTES, after=night_of(-1),
    )  # fmt: skip
    assert [round(duel.other - duel.one, 6) for duel in duels] == [1.0] * len(rows)


def test_a_shadow_is_made_by_a_version_that_has_seen_nothing_of_its_night(settings: Settings, store: Store) -> None:
    begin(settings, store, honest(), lean(honest(), 1.0))
    for number in range(3):
        night(settings, store, number)
    with store.engine.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT DISTINCT g.league_date, v.trained_through FROM forecasts f JOIN games g USING (game_id)"
                " JOIN predictions p ON p.id = f.prediction_id JOIN registered_versions v ON v.digest = p.model_digest"
                " WHERE f.role = 'shadow'"
            )
        ).all()
    assert len(rows) == 3
    assert all(seen < played for played, seen in rows)


def test_any_row_ever_written_can_be_computed_again(settings: Settings, store: Store) -> None:
    begin(settings, store, honest(), lean(honest(), 1.0))
    for number in range(2):
        night(settings, store, number, games=3)
    with store.engine.begin() as connection:
        ids = connection.execute(text("SELECT id FROM predictions")).scalars().all()
    assert len(ids) == 2 * 3 * len(MINUTES) * 2
    assert all(reproduce_prediction(settings, str(one)).equal for one in ids)


def test_a_much_better_challenger_is_promoted_with_its_evidence(settings: Settings, store: Store) -> None:
    begin(settings, store, lean(honest(), 8.0), honest())
    lineages = [one.lineage for one in store.model_history(settings.model_name)]
    done = [night(settings, store, number, games=8) for number in range(6)]
    decisions = [one.decision.action for one in done if one.decision]
    assert decisions[-1] == "promote"
    assert set(decisions[:-1]) == {"keep"}
    newest = next(one for one in store.promotion_history(settings.model_name) if one.decided_by == "rule: evidence")
    assert newest.evidence["over_champion"]["best_e_value"] >= 20.0
    version = store.model_version(settings.model_name, newest.model_version)
    assert version is not None
    assert version.lineage == lineages[0]
    assert CHALLENGER not in aliases(settings)


def test_a_bad_challenger_is_rejected_and_never_tried_again(settings: Settings, store: Store) -> None:
    _, bad = begin(settings, store, honest(), lean(honest(), 8.0))
    done = [night(settings, store, number, games=8) for number in range(6)]
    assert "reject" in [one.decision.action for one in done if one.decision]
    assert CHALLENGER not in aliases(settings)
    wiring.registry(settings).set_alias(CHALLENGER, bad.version)
    assert night(settings, store, 7).decision is None
    assert CHALLENGER not in aliases(settings)


def test_a_bad_champion_forced_in_by_hand_is_rolled_back(settings: Settings, store: Store) -> None:
    begin(settings, store, honest())
    night(settings, store, 0)
    bad = registered(settings, store, lean(honest(), 6.0))
    with pytest.raises(NotBetter, match="persistence"):
        promote(settings, bad.version, reason="looks good")
    at = served(settings, store)
    promote(settings, bad.version, reason="looks good", force=True)
    forced = store.promotion_at(settings.model_name)
    assert forced is not None
    assert (forced.decided_kind, forced.evidence["forced"]) == ("person", True)
    # The first day of the promotion is today; the rehearsal's clock is tests/e2e/test_rehearsal.py.
    assert at.version != forced.model_version
    assert roll_back(settings, reason="it leans").promotion.action == "roll-back"
    live = store.promotion_at(settings.model_name)
    assert live is not None
    assert live.model_digest == at.digest
    assert aliases(settings)[CHAMPION] == live.model_version


def test_without_a_champion_of_another_line_there_is_no_way_back(settings: Settings, store: Store) -> None:
    begin(settings, store, honest())
    night(settings, store, 0)
    with pytest.raises(NothingBefore):
        roll_back(settings, reason="why not")


def test_the_report_says_what_was_live_and_why(settings: Settings, store: Store) -> None:
    begin(settings, store, honest())
    night(settings, store, 0)
    report = model_report(settings)
    assert report.live is not None
    assert report.live.model_version == report.aliases[CHAMPION] == "2"  # type: ignore[index]
    assert [one.version for one in report.versions] == ["2", "1"]
    assert [one.reason for one in report.promotions] == ["recalibrated on 6 newly settled games", "the first"]
    first = report.promotions[-1].effective_at
    then = model_report(settings, at=first).live
    assert then is not None
    assert then.model_version == "1"


class Killed(BaseException):
    """What a kill leaves: nothing handles it."""


def state(settings: Settings, store: Store) -> dict[str, Any]:
    """Everything that a night leaves behind, without times and numbers of rows."""
    queries = {
        "versions": "SELECT version, digest, lineage, parent_version, kind FROM registered_versions",
        "promotions": "SELECT model_version, previous_version, action, reason FROM promotions",
        "evaluations": "SELECT league_date, challenger_version, decision, n FROM evaluations",
        "forecasts": "SELECT game_id, minute, role, model_version FROM forecasts",
        "settled": "SELECT f.game_id, f.minute, f.role, s.error FROM settlements s JOIN forecasts f"
        " ON f.id = s.forecast_id",
    }
    with store.engine.begin() as connection:
        found: dict[str, Any] = {
            name: sorted(tuple(map(str, row)) for row in connection.execute(text(query)))
            for name, query in queries.items()
        }
    return found | {"aliases": aliases(settings)}


def killed_at(step: int, calls: list[str], real: Callable[..., Any], name: str, *args: Any, **named: Any) -> Any:
    calls.append(name)
    if len(calls) == step:
        raise Killed(name)
    return real(*args, **named)


WRITES = {
    Store: ("record_promotion", "record_version", "record_evaluation", "record_shadow", "settle"),
    Registry: ("register", "set_alias", "set_tag", "delete_alias"),
}


def nightly(settings: Settings) -> None:
    recalibrate(settings, league_date=night_of(0))
    evaluate(settings, league_date=night_of(0))


def test_a_kill_before_or_after_any_write_changes_nothing_once_the_night_is_run_again(
    postgres_server: PostgresServer, mlflow_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def world(folder: str) -> tuple[Settings, Store]:
        url = postgres_server.emptied()
        made = lifecycle_settings(url, mlflow_url, tmp_path / folder, promote_min_games=5, promote_alpha=0.2)
        store = Store.open(url)
        begin(made, store, lean(honest(), 20.0), honest())
        play(made, store, served(made, store), 0, games=9)
        return made, store

    def run(settings: Settings, step: int) -> list[str]:
        calls: list[str] = []
        with monkeypatch.context() as patch:
            for owner, names in WRITES.items():
                for name in names:
                    real = getattr(owner, name)
                    patch.setattr(owner, name, _counted(step, calls, real, name))
            with suppress(Killed):
                nightly(settings)
        return calls

    def _counted(step: int, calls: list[str], real: Callable[..., Any], name: str) -> Callable[..., Any]:
        return lambda *args, **named: killed_at(step, calls, real, name, *args, **named)

    settings, store = world("whole")
    with store:
        steps = run(settings, -1)
        wanted = state(settings, store)
    assert [row[2] for row in wanted["evaluations"]] == ["promote"]
    # Of the many alike the first and the last; of the others each.
    shadows = [place for place, name in enumerate(steps, 1) if name == "record_shadow"]
    tried = [place for place in range(1, len(steps) + 1) if place not in shadows[1:-1]]
    monkeypatch.setattr(champion_module, "LEASE_S", 0.5)
    for step in tried:
        settings, store = world(f"killed-{step}")
        with store:
            calls = run(settings, step)
            assert len(calls) == step, steps[step - 1]
            nightly(settings)
            assert state(settings, store) == wanted, steps[step - 1]
            nightly(settings)
            assert state(settings, store) == wanted, "a third time"
