"""What our self-contained report pages share: tables, figures as JSON, Plotly's script, a plain layout.

Colours in figures are names of the page's CSS variables written ``@name``; ``draw_script`` resolves them, so that one
figure serves light and dark.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

Figure = dict[str, Any]

_DRAW = Path(__file__).with_name("page_figures.js")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways inside its own box; every cell is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def script_json(value: object) -> str:
    """JSON that cannot close the script element it stands in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def plotly_script() -> str:
    """The script of the installed wheel, about 4.5 MB, as it may stand in a page."""
    from plotly.offline import get_plotlyjs  # half a second to import: only when a page is written

    script: str = get_plotlyjs()
    return script.replace("</script", "<\\/script")


def draw_script() -> str:
    """The script that draws every figure of the page's JSON element ``figures`` into the element of its name."""
    return _DRAW.read_text(encoding="utf-8")


def plain_layout(height: int) -> Figure:
    """Transparent, with a legend above and axes that do not move under a thumb."""
    axis = {"gridcolor": "@grid", "zerolinecolor": "@zero", "zeroline": False, "fixedrange": True}
    axis |= {"ticks": "outside", "ticklen": 5, "tickcolor": "rgba(0,0,0,0)"}
    return {
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 36, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "@ink", "family": "system-ui, sans-serif", "size": 13},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"color": "@ink"}},
        "hoverlabel": {"bgcolor": "@paper", "bordercolor": "@muted", "font": {"color": "@ink"}},
        "xaxis": dict(axis),
        "yaxis": dict(axis),
    }


def check_page(path: Path) -> None:
    """Raises OSError where ``write_page`` would, and when there is no folder yet; leaves nothing behind."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {path.parent}", str(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    partial = _partial(path)
    with partial.open("ab"):
        pass
    partial.unlink()


def write_page(text: str, path: Path) -> Path:
    """Write a page whole or not at all (its folder is made) and return the path. Raises OSError when it cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
