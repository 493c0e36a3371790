"""A forecast's way for people: a timeline for a terminal, and a card with a figure for the night's page."""

from __future__ import annotations

from datetime import datetime
from html import escape

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitoring.journey import Journey, Step
from monitoring.page_parts import Figure, plain_layout, table

BAR_CELLS = 16
COLUMNS = ("step", "at (UTC)", "ms since the one before", "what happened", "known from")


def render_journey(journey: Journey) -> RenderableType:
    """The way as one renderable: a row a step, with a bar that shows where it lies between the poll and the last."""
    rows = Table(box=None, pad_edge=False)
    rows.add_column("step", no_wrap=True)
    rows.add_column(f"{journey.steps[-1].at:%Y-%m-%d}", no_wrap=True, justify="right")
    rows.add_column("+ ms", no_wrap=True, justify="right")
    rows.add_column("poll to end", width=BAR_CELLS)
    rows.add_column("")
    for step in journey.steps:
        other = step.at.date() != journey.steps[-1].at.date()
        at = f"{step.at:%Y-%m-%d %H:%M}" if other else _clock(step.at)[11:]
        style = "dim" if step.clock == "feed" else ""
        rows.add_row(step.name, at, _gap(step), _bar(journey, step), step.words, style=style)
    return Group(Text(title(journey), style="bold"), rows, *(Text(note, style="dim") for note in notes(journey)))


def title(journey: Journey) -> str:
    """Which forecast it is, and how long it took."""
    revised = f", revision {journey.revision}" if journey.revision else ""
    took = "" if journey.total_ms is None else f": {journey.total_ms:,.1f} ms from the poll to the last step"
    game = f"{journey.away} at {journey.home} ({journey.game_id})"
    return f"{game}, minute {journey.minute}{revised}, forecast {journey.point:+.1f}{took}"


def notes(journey: Journey) -> list[str]:
    """What a reader must know beside the times."""
    said = [f"trace {journey.trace_id or 'not known'}, request {journey.request_id}, model {journey.model_version}"]
    if journey.missing:
        said.append(f"No record was found of: {', '.join(journey.missing)}.")
    if any(step.gap_ms is not None and step.gap_ms < 0 for step in journey.steps):
        said.append("A gap below nothing: two clocks disagree, or the forecaster gave an answer that it had kept.")
    return said


def journey_figure(journey: Journey) -> Figure:
    """A bar a step, from the end of the step before to its own, in ms since the first one."""
    quick = journey.quick
    first = quick[0].at
    ends = [_after_ms(first, step.at) for step in quick]
    starts = [ends[0], *ends[:-1]]
    layout = plain_layout(height=90 + 26 * len(quick))
    layout["showlegend"] = False
    layout["xaxis"] |= {"title": {"text": f"wall-clock ms since it was {quick[0].name}"}}
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False}
    layout["margin"] |= {"l": 90, "r": 56, "t": 8}
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [step.name for step in quick],
        "base": [min(pair) for pair in zip(starts, ends, strict=True)],
        "x": [abs(end - start) for start, end in zip(starts, ends, strict=True)],
        "text": ["", *(_gap(step) for step in quick[1:])],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": "@p95"},
        "hovertext": [f"{step.words}: {_clock(step.at)}" for step in quick],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    return {"data": [bars], "layout": layout}


def journey_card(journey: Journey | None, name: str, figures: dict[str, Figure]) -> str:
    """The night's slowest official forecast as HTML; its figure goes to ``figures`` under ``name``."""
    if journey is None:
        return "<p>No official forecast has the time of its poll.</p>"
    figures[name] = journey_figure(journey)
    rows = [(step.name, _clock(step.at), _gap(step), step.words, step.known_from) for step in journey.steps]
    said = "".join(f'<p class="key">{escape(note)}</p>' for note in notes(journey))
    head = f"<p>{escape(title(journey))}</p>"
    return f'{head}<div id="{name}"></div><div id="{name}-steps">{table(COLUMNS, rows)}</div>{said}'


def _bar(journey: Journey, step: Step) -> str:
    """Cells up to the step on the scale of the way; none for what lies on another scale."""
    quick = journey.quick
    if step not in quick:
        return ""
    first = quick[0].at
    whole = max(_after_ms(first, each.at) for each in quick) or 1.0
    place = round((BAR_CELLS - 1) * min(1.0, max(0.0, _after_ms(first, step.at) / whole)))
    return "─" * place + "●"


def _gap(step: Step) -> str:
    return "-" if step.gap_ms is None else f"{step.gap_ms:,.1f}"


def _after_ms(first: datetime, at: datetime) -> float:
    return round((at - first).total_seconds() * 1000.0, 3)


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
