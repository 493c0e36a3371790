"""`up` that fails half way ends what it has started, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import night, operate
from services.settings import Settings

UNSET = dict.fromkeys(("database_url", "redis_url", "prefect_api_url", "mlflow_tracking_uri"))


class Stack:
    """Stands for a detached stack."""

    def __init__(self, running: bool) -> None:
        self.running = running
        self.stopped = False

    def service(self, name: str) -> None:
        return None


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("running", [True, False])
def test_a_stack_that_cannot_be_prepared_is_stopped_unless_it_ran_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: type[BaseException], running: bool
) -> None:
    stack = Stack(running)

    def fail(*_: Any) -> None:
        raise trouble

    def stop(_: Settings) -> None:
        stack.stopped = True

    monkeypatch.setattr(operate, "read_status", lambda _: stack if running else None)
    monkeypatch.setattr(operate, "start_detached", lambda *_, **__: stack)
    monkeypatch.setattr(operate, "stop_detached", stop)
    monkeypatch.setattr(night, "prepare", fail)
    with pytest.raises(trouble):
        operate.bring_up(Settings(**{**UNSET, "home": tmp_path}), live=False)  # type: ignore[arg-type]
    assert stack.stopped is not running
