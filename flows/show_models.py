"""What a terminal shows of models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.audit import ModelReport


def model_tables(report: ModelReport) -> Iterator[Table | Text]:
    """What was live, the versions, the decisions, the trials."""
    yield _live(report)
    names = {version: alias for alias, version in (report.aliases or {}).items()}
    table = Table("version", "alias", "kind", "from", "lineage", "learned through", "calibration", title="versions")
    for one in report.versions:
        parent = one.parent_version or ""
        table.add_row(
            one.version,
            names.get(one.version, ""),
            one.kind,
            parent,
            one.lineage[:8],
            f"{one.has_seen}",
            one.calibration_id[:8],
        )
    yield table
    table = Table("since", "champion", "before", "decision", "by", "why", title="champions")
    for made in report.promotions:
        since = f"{made.effective_at:%Y-%m-%d %H:%M}Z" if made.effective_at else ""
        by = f"{made.decided_kind}: {made.decided_by.removeprefix('rule: ')}"
        table.add_row(
            since, made.model_version, made.previous_version or "", made.action, escape(by), escape(made.reason)
        )
    yield table
    if report.evaluations:
        table = Table("night", "challenger", "games", "decision", "why", title="trials of challengers")
        for trial in report.evaluations:
            why = "; ".join(trial.evidence.get("reasons", ()))
            table.add_row(f"{trial.league_date}", trial.challenger_version, f"{trial.n}", trial.decision, escape(why))
        yield table


def _live(report: ModelReport) -> Text:
    when = f"at {report.at:%Y-%m-%d %H:%M %Z}" if report.at else "now"
    if report.live is None:
        return Text(f"{report.model_name}: no champion {when}")
    said = (
        f"{report.model_name}: champion {when} is version {report.live.model_version} ({report.live.model_digest[:12]})"
    )
    if report.aliases is None:
        said += "; MLflow does not answer"
    return Text(said)


def rehearsal_tables(told: dict[str, Any]) -> Iterator[Table | Text]:
    """A rehearsal: coverage and width by month beside the frozen model, and what was decided."""
    table = Table(
        "month", "games", "coverage", "frozen", "mean width", "frozen", "MAE", "frozen",
        title=f"rehearsal, planted: {told['plant']}, seed {told['seed']}",
    )  # fmt: skip
    for row in (*told["months"], told["whole"] | {"month": "all"}):
        table.add_row(
            row["month"], f"{row['n']}", f"{row['coverage']:.1%}", f"{row['frozen_coverage']:.1%}",
            f"{row['mean_width']:.1f}", f"{row['frozen_mean_width']:.1f}", f"{row['mae']:.2f}",
            f"{row['frozen_mae']:.2f}",
        )  # fmt: skip
    yield table
    table = Table("night", "what", "champion", "why", title="decisions, without the recalibrations")
    for one in told["decisions"]:
        if one["what"] != "recalibrated":
            champion = one.get("champion") or one.get("version") or ""
            table.add_row(one["date"], one["what"], champion, escape(one.get("why", "")))
    yield table
    yield Text(
        f"{told['versions']} versions, {told['recalibrations']} recalibrations, {told['promotions']} promotions,"
        f" {told['rejections']} rejections, {told['rollbacks']} roll-backs"
    )
