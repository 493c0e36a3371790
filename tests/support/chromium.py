"""The Chromium of the PATH, and a page that remembers what went wrong on it and whom it asked for something."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright


@dataclass
class Seen:
    """A page, its errors (of scripts, of the console), and the addresses of all its requests."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        """Whom it asked; what is part of the page itself (data:, blob:) asks nobody."""
        return {urlsplit(one).netloc for one in self.requests} - {""}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; skips the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("skipped: no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser) -> Iterator[Seen]:
    """A new page, 1280 pixels wide."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    seen = Seen(page)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: seen.requests.append(request.url))
    yield seen
    page.close()
