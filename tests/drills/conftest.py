"""What the drills behind a load balancer share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.balanced import Platform, balanced


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """Three forecasters and two boards behind one nginx."""
    with balanced(forecasters=3, boards=2) as running:
        yield running
