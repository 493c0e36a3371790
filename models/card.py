"""A model's card: what it learned from, how good it is, what it promises and where it ends. Markdown, for people."""

from __future__ import annotations

from collections.abc import Mapping

from models.calibration import Case
from models.clock import OFFICIAL_MINUTE
from models.ensemble import Ensemble

LIMITS = (
    "It forecasts the margin at halftime of an NBA game from the score so far, who plays and who has the ball. It"
    " knows nothing of injuries, line-ups or odds, and is no advice to bet. A team it has not seen counts as average."
    " Games of another league, summer or All-Star games are outside of what it learned."
)


def model_card(
    ensemble: Ensemble,
    *,
    kind: str,
    parent: str | None,
    figures: Mapping[str, float],
    code_version: str,
    data_digest: str | None = None,
) -> str:
    """``figures`` are those of the training on games that fitted nothing; ``parent`` the version it was made from,
    ``data_digest`` names the games it was trained on."""
    memory = ensemble.mixture.dejavu
    games = ensemble.calibration[Case(OFFICIAL_MINUTE, True, False)] if _official(ensemble) else None
    lines = [
        f"**{kind}** model of {ensemble.source} games, lineage `{ensemble.lineage}`"
        + (f", made from version {parent}" if parent else ""),
        "",
        "| | |",
        "|---|---|",
        f"| remembers | {len(memory.game_id):,} games, {memory.date.min()} to {memory.date.max()} |",
        f"| learned through | {ensemble.trained_through}, ratings through {ensemble.ratings_as_of} |",
        f"| data | {data_digest or 'as of the version it was made from'} |",
        f"| code | {code_version} |",
        f"| minutes | {', '.join(map(str, ensemble.minutes))} |",
    ]
    if games is not None:
        half_width = ensemble.adaptive[Case(OFFICIAL_MINUTE, True, False)].half_width(0.05)
        lines += [
            f"| calibration | `{ensemble.calibration_id}`, {len(games):,} games at minute {OFFICIAL_MINUTE} |",
            f"| 95% interval at minute {OFFICIAL_MINUTE} | the point and {half_width:.1f} points to either side |",
        ]
    lines += ["", *_figures(figures), "", f"**Limits.** {LIMITS}"]
    return "\n".join(lines)


def _official(ensemble: Ensemble) -> bool:
    return Case(OFFICIAL_MINUTE, True, False) in ensemble.calibration


def _figures(figures: Mapping[str, float]) -> list[str]:
    """On games that fitted nothing, always beside persistence."""
    if "rmse" not in figures:
        return ["Its figures are those of the version it was made from."]
    told = [
        f"On {figures.get('games_test', 0):.0f} games that fitted nothing, at minute {OFFICIAL_MINUTE}:",
        "",
        "| | model | persistence |",
        "|---|---|---|",
    ]
    for name in ("rmse", "mae", "crps"):
        if name in figures:
            told.append(
                f"| {name.upper()}, points | {figures[name]:.3f} | {figures.get(f'{name}_persistence', 0):.3f} |"
            )
    if "skill_squared" in figures:
        low, high = figures.get("skill_squared_lower", 0), figures.get("skill_squared_upper", 0)
        told += ["", f"Skill in squared error {figures['skill_squared']:+.1%} (95%: {low:+.1%} to {high:+.1%})."]
    if "coverage" in figures:
        told.append(
            f"Its {1 - figures.get('alpha', 0.05):.0%} intervals held {figures['coverage']:.1%} at a mean width of"
            f" {figures.get('mean_width', 0):.1f} points."
        )
    return told
