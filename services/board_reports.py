"""Reports of the table ``reports`` as plain HTML: nested JSON becomes headings and tables, everything escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

MAX_DEPTH = 6
MAX_ROWS = 500
# JSONB keeps no order: what a person asks first comes first, whatever a report calls its other parts follows.
FIRST = ("status", "message", "window", "flags", "figures", "tests", "drift", "by_version", "by_minute")
SNAPSHOT = "snapshot"
HIDDEN = (SNAPSHOT,)


def page(title: str, body: str) -> str:
    """A whole document in the board's own style; ``title`` is escaped, ``body`` is HTML already."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}: Halftime</title><link rel="icon" href="/static/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/static/style.css"></head><body>'
        '<header class="top"><h1><a href="/">Halftime</a></h1><nav><a href="/reports">All reports</a></nav></header>'
        f'<main class="report">{body}</main></body></html>'
    )


def list_page(reports: Sequence[Mapping[str, Any]], evidently_url: str | None = None) -> str:
    """The list of reports, newest first; each row {id, kind, league_date, model_version, created_at, has_page}.

    ``evidently_url`` is where Evidently's own pages are; unset: nowhere.
    """
    if not reports:
        return page(
            "Reports",
            "<h2>No reports yet</h2><p>A night leaves one when it is over: <code>make night</code>.</p>",
        )
    rows = "".join(
        f'<tr><td><a href="/reports/{int(one["id"])}">{_text(one["kind"])}</a></td><td>{_text(one["league_date"])}</td>'
        f"<td>{_text(one['model_version'])}</td><td>{_text(one['created_at'])}</td>"
        f"<td>{_evidently_link(one, evidently_url) if one.get('has_page') else ''}</td></tr>"
        for one in reports
    )
    names = ("kind", "league date", "model", "made", "as Evidently shows it")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return page("Reports", f"<h2>Reports</h2>{_table(head, rows)}")


def report_page(report: Mapping[str, Any], evidently_url: str | None = None) -> str:
    """One report: its head line and its body, rendered as nested tables; ``evidently_url`` as for the list."""
    title = f"{report['kind']} report, {report['league_date'] or 'no league date'}"
    about = f"model {report['model_version'] or 'unknown'}, made {report['created_at']}"
    links = [f'<a href="/api/reports/{int(report["id"])}">as JSON</a>']
    if isinstance(report["body"], Mapping) and report["body"].get(SNAPSHOT) is not None:
        links.append(_evidently_link(report, evidently_url))
    line = " &middot; ".join([escape(about), *filter(None, links)])
    return page(title, f"<h2>{escape(title)}</h2><p>{line}</p>{_value(_shown(report['body']), 0)}")


def _evidently_link(report: Mapping[str, Any], evidently_url: str | None) -> str:
    if evidently_url is None:
        return ""
    return f'<a href="{escape(evidently_url)}/html/{int(report["id"])}">Evidently&#x27;s page</a>'


def _shown(body: Any) -> Any:
    """The body in order, without what only a program can read: the JSON has it."""
    if not isinstance(body, Mapping):
        return body
    names = [*(name for name in FIRST if name in body), *(name for name in body if name not in FIRST)]
    return {name: body[name] for name in names if name not in HIDDEN}


def _value(value: Any, depth: int) -> str:
    if depth > MAX_DEPTH:
        return "<p>&hellip;</p>"
    if isinstance(value, Mapping):
        return _mapping(value, depth)
    if isinstance(value, list) and value:
        if all(isinstance(one, Mapping) for one in value):
            return _rows(value, depth)
        if any(isinstance(one, Mapping | list) for one in value):
            return "".join(f'<div class="nest">{_value(one, depth + 1)}</div>' for one in value[:MAX_ROWS])
        return f"<p>{', '.join(_text(one) for one in value[:MAX_ROWS])}</p>"
    return f"<p>{_text(value)}</p>"


def _mapping(value: Mapping[str, Any], depth: int) -> str:
    flat = {key: one for key, one in value.items() if not _nested(one)}
    rows = "".join(
        f'<tr><th scope="row">{_label(key)}</th><td{_kind(one)}>{_text(one)}</td></tr>' for key, one in flat.items()
    )
    parts = [_table("", rows)] if rows else []
    level = min(3 + depth, 6)
    for key, one in value.items():
        if _nested(one):
            inner = _value(one, depth + 1)
            body = inner if depth == 0 else f'<div class="nest">{inner}</div>'
            parts.append(f"<h{level}>{_label(key)}</h{level}>{body}")
    return "".join(parts)


def _rows(rows: Sequence[Mapping[str, Any]], depth: int) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f'<th scope="col">{_label(key)}</th>' for key in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{_value(row.get(key), depth + 1)}</td>"
            if _nested(row.get(key))
            else f"<td{_kind(row.get(key))}>{_text(row.get(key))}</td>"
            for key in columns
        )
        + "</tr>"
        for row in rows[:MAX_ROWS]
    )
    more = f"<p>{len(rows) - MAX_ROWS} more rows in the JSON</p>" if len(rows) > MAX_ROWS else ""
    return _table(head, body) + more


def _table(head: str, rows: str) -> str:
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<div class="scroll"><table>{top}<tbody>{rows}</tbody></table></div>'


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | list) and bool(value)


def _kind(value: Any) -> str:
    return ' class="number"' if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _label(key: Any) -> str:
    return escape(str(key).replace("_", " "))


def _text(value: Any) -> str:
    if value is None or value in ([], {}):
        return "&ndash;"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return escape(f"{value:.4g}")
    return escape(str(value))
