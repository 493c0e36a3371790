"""What `doctor` asks of the machine: interpreter, programs, disk, ports, history files."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from infra import binaries, prometheus, services_table
from infra.check import Check, bad, good, warn
from infra.local import run_folder
from infra.ports import find_taken
from infra.processes import StackId, find_marked
from infra.runfile import recorded_processes
from services.settings import Settings

OLDEST, NEWEST = (3, 11), (3, 13)
DISK_MIN_BYTES = 10**9
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def check_machine(settings: Settings) -> list[Check]:
    """Every check of the machine."""
    return [
        python_version(sys.version_info[:2]),
        disk(settings.home),
        writable(settings.home),
        *programs(settings),
        ports(settings),
        data(settings),
        alerting(),
        chromium(),
    ]


def python_version(version: tuple[int, ...]) -> Check:
    """The interpreter is one that the lock was made for."""
    text = ".".join(str(part) for part in version)
    if OLDEST <= version <= NEWEST:
        return good("python", text)
    return bad("python", f"Python {text}", "use Python 3.11, 3.12 or 3.13: remove .halftime/venv, then `make venv`")


def disk(home: Path) -> Check:
    """At least 1 GB is free where the data folder is (or will be)."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free at {place}"
    if free >= DISK_MIN_BYTES:
        return good("disk", text)
    return bad("disk", text, "free some space (1 GB at least), or set HALFTIME_HOME to a folder on a larger disk")


def writable(home: Path) -> Check:
    """The data folder can be written to (or made)."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return good("data folder", str(home))
    return bad(
        "data folder", f"{place} cannot be written to", "change its owner, or set HALFTIME_HOME to another folder"
    )


def programs(settings: Settings) -> list[Check]:
    """The servers' programs that the local stack will start are here."""
    found = []
    if settings.database_url is None:
        try:
            found.append(good("postgres programs", str(binaries.postgres_bin())))
        except binaries.MissingBinary as error:
            found.append(bad("postgres programs", str(error), "`make venv` installs them; or set DATABASE_URL"))
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            found.append(
                bad(
                    "setpriv", "root, and no setpriv: PostgreSQL refuses root", "install util-linux, or be another user"
                )
            )
    if settings.redis_url is None:
        try:
            found.append(good("redis-server", str(binaries.redis_server())))
        except binaries.MissingBinary as error:
            found.append(bad("redis-server", str(error), "install redis-server (Debian: apt-get install redis-server)"))
    return found


def ports(settings: Settings) -> Check:
    """No program of somebody else listens on a port of ours."""
    wanted = services_table.wanted_ports(settings, services_table.here(services_table.MAKERS))
    marked = find_marked(StackId(settings.home).home_prefix)
    for run_file in run_folder(settings).glob("*.json"):
        marked += recorded_processes(run_file)
    ours = {each.process.pid for each in marked}
    held = [each for each in find_taken(wanted) if each.pid not in ours]
    if not held:
        return good("ports", ", ".join(f"{each.service} {each.port}" for each in wanted))
    return bad("ports", "; ".join(each.detail for each in held), "; ".join({each.remedy: None for each in held}))


def data(settings: Settings) -> Check:
    """Where history comes from."""
    if settings.league_source == "recorded" and settings.data is None:
        return bad(
            "history files",
            "HALFTIME_SOURCE=recorded, but HALFTIME_DATA names no folder",
            "set HALFTIME_DATA to the folder with games.parquet, or unset HALFTIME_SOURCE",
        )
    if settings.data is None:
        return good("history files", "none: the league is " + settings.league_source)
    plays = sorted(path.name for path in settings.data.glob("plays_*.parquet"))
    if not plays:
        return warn(
            "history files",
            f"{settings.data} holds games.parquet but no plays_*.parquet: no night can be replayed",
            "add the plays of a season",
        )
    return good("history files", f"{settings.data}: games.parquet, {len(plays)} seasons of plays")


def alerting() -> Check:
    """Prometheus and Alertmanager, without which nothing evaluates the alert rules."""
    evaluates, tells = prometheus.prometheus_program(), prometheus.alertmanager_program()
    if evaluates is not None and tells is not None:
        return good("prometheus", f"{evaluates}, {tells}")
    what = "not installed" if evaluates is None else "no alertmanager beside it"
    # Debian starts what it installs, on the ports of our exporter and our Alertmanager.
    return warn(
        "prometheus",
        f"{what}; alerts are not evaluated here",
        "Debian: apt-get install prometheus prometheus-alertmanager,"
        " then systemctl disable --now prometheus prometheus-alertmanager",
    )


def chromium() -> Check:
    """A browser for the page test."""
    for name in CHROMIUM:
        if (path := shutil.which(name)) is not None:
            return good("chromium", path)
    return warn("chromium", "not on PATH: the page test is skipped", "Debian: apt-get install chromium")
