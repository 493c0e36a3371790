"""Evidently's own page of a report, from the snapshot that is stored in `reports`: about 4 MB, self-contained.

What Evidently writes is kept as it is, with three things added: a line that says what is reported and leads back to the
board, a content security policy, and text that cannot end the script it stands in. The policy names each script of the
page by its digest, so that no other runs, and allows no network at all: the page looks the same without one.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monitoring.reports import SNAPSHOT

# Evidently writes "<" into its script as it is. A character that no report holds stands for it until JSON has been made
# of it, as "\ufdd0", which then becomes the "<" of JSON.
LESS, IN_JSON = "\ufdd0", ("\\ufdd0", "\\u003c")
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
STYLE = """
.halftime { font: 16px/1.5 system-ui, sans-serif; padding: 16px 24px 0 }
.halftime h1 { font-size: 1.4rem; margin: 0 }
.halftime p { font-size: .875rem; margin: 4px 0 0 }
.halftime a { color: inherit }
"""


class SnapshotError(ValueError):
    """A stored snapshot that the installed Evidently cannot show."""


def report_html(body: Mapping[str, Any], *, board_page: str | None = None) -> str | None:
    """The page (UTF-8) of a report as it is stored; None when it has no snapshot: a night's, or not enough games.

    ``board_page`` is the address of the same report on the board. Raises SnapshotError.
    """
    if body.get(SNAPSHOT) is None:
        return None
    page = _evidently_html(body[SNAPSHOT]).replace(*IN_JSON).lstrip()
    policy = "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src", *(digest(script) for script in SCRIPT.findall(page)))),
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "font-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    title = escape(f"{body['window']}: Evidently's report, Halftime")
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}"><title>{title}</title>'
    page = _after("<head>", f"{head}<style>{STYLE}</style>", page)
    return _after("<body>", _heading(body, board_page), page)


@cache
def page_maker() -> str:
    """Changes with whatever could change a page of the same report: Evidently and this module."""
    return hashlib.sha256(version("evidently").encode() + Path(__file__).read_bytes()).hexdigest()


def digest(script: str) -> str:
    """A script as a content security policy names it."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _evidently_html(snapshot: Any) -> str:
    # Seconds and hundreds of megabytes: imported only by a process that makes a page.
    import evidently
    from evidently.core.report import Snapshot

    import monitoring.report_metrics  # noqa: F401  (a stored report names our metrics)

    try:
        return str(Snapshot.load_dict(_guarded(snapshot)).get_html_str(as_iframe=False))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise SnapshotError(
            f"Evidently {evidently.__version__} cannot show this snapshot ({type(error).__name__}): it was made by"
            " another version; make the report again with ./halftime report"
        ) from error


def _guarded(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("<", LESS)
    if isinstance(value, Mapping):
        return {_guarded(name): _guarded(part) for name, part in value.items()}
    return [_guarded(part) for part in value] if isinstance(value, list) else value


def _after(tag: str, text: str, page: str) -> str:
    before, found, after = page.partition(tag)
    if not found:
        raise SnapshotError(f"Evidently's page has no {tag}: install the version that requirements.lock names")
    return before + tag + text + after


def _heading(body: Mapping[str, Any], board_page: str | None) -> str:
    about = [str(body["message"]), f"model version {body['model_version'] or 'unknown'}"]
    if body.get("reference") and body.get("drift"):
        # Evidently wants a forecast of the reference too, and is given persistence where there was none.
        about.append(f"against {body['reference']}; where these were not forecast, their errors are persistence's")
    back = f' &middot; <a href="{escape(board_page)}">this report on the board</a>' if board_page else ""
    title = escape(str(body["window"]))
    return f'<header class="halftime"><h1>{title}</h1><p>{escape("; ".join(about))}{back}</p></header>'
