"""A real Prometheus for tests (Debian's package of this name): on a free port, its data in a folder of the test's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.servers import die_with_parent, end, free_port
from tests.support.waiting import until

Series = list[tuple[dict[str, str], float]]


class Prometheus:
    """A Prometheus that answers at ``url``."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=10.0)

    def ready(self) -> bool:
        """Whether it can be asked."""
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, expr: str) -> Series:
        """The instant vector of ``expr``; AssertionError when it is no query."""
        answer = self._http.post("/api/v1/query", data={"query": expr}).json()
        assert answer["status"] == "success", (expr, answer)
        return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]

    def values(self, label: str, metric: str) -> list[str]:
        """What a dashboard's ``label_values(metric, label)`` offers."""
        answer = self._http.get(f"/api/v1/label/{label}/values", params={"match[]": metric}).json()
        found: list[str] = answer["data"]
        return found

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()


def prometheus_program() -> str:
    """Its path, or a skip that says so."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("skipped: no prometheus")
    return program


@contextmanager
def running_prometheus(program: str, folder: Path, targets: dict[str, str]) -> Iterator[Prometheus]:
    """Scrapes ``targets`` (job -> host:port) every second; what it writes lies in ``folder``."""
    jobs = "".join(
        f"  - job_name: {job}\n    static_configs: [{{targets: ['{target}']}}]\n" for job, target in targets.items()
    )
    config = folder / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}")
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}", "--log.level=warn"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent
        )
        prometheus = Prometheus(f"http://{address}")
        try:
            until(lambda: process.poll() is not None or prometheus.ready())
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            yield prometheus
        finally:
            prometheus.close()
            end(process)
