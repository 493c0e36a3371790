"""The forecasters' key is changed as docs/deploy.md says, while a caller asks: none is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.balanced import Replica
from tests.support.mounted_secrets import Secrets
from tests.support.running_forecaster import RunningForecaster, running_forecaster, small_bundle
from tests.support.waiting import until

pytestmark = pytest.mark.slow

OLD, NEW = "the-old-key-0123456789abcdef", "the-new-key-0123456789abcdef"


def status(url: str, key: str) -> int:
    """What the forecaster there says to who asks for the figures with this key; 503 when it is away."""
    try:
        return httpx.get(f"{url}/metrics/summary", headers={"Authorization": f"Bearer {key}"}, timeout=10).status_code
    except httpx.TransportError:
        return 503


@contextmanager
def asking(urls: list[str], key: Callable[[], str], answers: list[int]) -> Iterator[None]:
    """A caller who asks for the figures all the time, each in turn and another one when it is away, as an ingress does.

    The status of each request is appended; 503 when all were away.
    """
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.01):
            urls.append(urls.pop(0))
            told = (status(url, key()) for url in urls)
            answers.append(next((one for one in told if one != 503), 503))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_api_key_is_changed_and_no_caller_is_refused(database_url: str, tmp_path: Path) -> None:
    bundle, secrets = small_bundle(tmp_path / "bundle"), Secrets(tmp_path / "secrets")

    def serve(name: str, port: int) -> AbstractContextManager[RunningForecaster]:
        file = str(secrets.folder / "api_key")
        return running_forecaster(
            tmp_path / name, bundle, database_url=database_url, port=port, HALFTIME_API_KEY_FILE=file
        )

    secrets.put(api_key=OLD)
    with ExitStack() as ends:
        both = [Replica(partial(serve, name), lambda running: running.process) for name in ("first", "second")]
        for one in both:
            ends.callback(one.close)
        theirs, answers = {"key": OLD}, list[int]()

        def restart() -> None:
            for one in both:
                one.end()
                one.start()

        def asked_meanwhile(times: int = 20) -> None:
            seen = len(answers)
            until(lambda: len(answers) > seen + times)

        def told(key: str) -> list[int]:
            return [status(one.url, key) for one in both]

        with asking([one.url for one in both], lambda: theirs["key"], answers):
            asked_meanwhile()
            secrets.put(api_key=f"{OLD}\n{NEW}")
            assert told(NEW) == [401, 401], "a file that has changed is read at the next start"
            restart()
            asked_meanwhile()
            assert (told(OLD), told(NEW)) == ([200, 200], [200, 200])

            theirs["key"] = NEW
            asked_meanwhile()
            secrets.put(api_key=NEW)
            restart()
            asked_meanwhile()
        assert set(answers) == {200}
        assert (told(OLD), told(NEW)) == ([401, 401], [200, 200])
