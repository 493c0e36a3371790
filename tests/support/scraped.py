"""What a page of metrics says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Page:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [one for family in text_string_to_metric_families(text) for one in family.samples]

    @classmethod
    def of(cls, url: str) -> Page:
        """Scrapes ``url`` (without /metrics). Raises httpx.HTTPError."""
        return cls(httpx.get(f"{url}/metrics", timeout=20).raise_for_status().text)

    def all(self, name: str) -> Iterator[Sample]:
        """Every sample of a name."""
        return (one for one in self._samples if one.name == name)

    def sum(self, name: str) -> float:
        """The samples of a name added up; a name that is not there fails."""
        values = [one.value for one in self.all(name)]
        assert values, f"{name} is not on the page"
        return sum(values)

    def only(self, name: str, **labels: str) -> float:
        """The one sample of a name that has these labels."""
        values = [one.value for one in self.all(name) if labels.items() <= one.labels.items()]
        assert len(values) == 1, (name, labels, values)
        return values[0]


def answers(url: str) -> bool:
    """Whether there is such a page."""
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/metrics", timeout=5).status_code == 200
    return False
