"""A container without its daemon: the programs of an image in namespaces of their own, as its Containerfile says.

Its files are at their own paths, under a root that cannot be written to; its user has no privilege; its network is a
loopback that nobody shares; its program is process 1, so that a signal arrives or does not, as in the real thing. What
stands for the base image is this machine's system and Python. Linux, and root, since only root may lay it out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.containerfiles import Containerfile
from tests.support.servers import end
from tests.support.waiting import until

UID = "10001"
SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc")
PLAIN = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
NAMESPACES = ("--mount", "--net", "--pid", "--ipc")
LAY = """
set -eu
mount --make-rprivate /
mount --bind "$R" "$R"
mount -t tmpfs tmpfs "$R/tmp"; chmod 1777 "$R/tmp"
# After that: what is shown may itself lie below /tmp, as a checkout can.
for one in $SHOWN; do mkdir -p "$R$one"; mount --bind "$one" "$R$one"; mount -o remount,bind,ro "$R$one"; done
mount -t proc proc "$R/proc"
mount -t tmpfs tmpfs "$R/dev"; mkdir -m 1777 "$R/dev/shm"
for one in null zero random urandom; do : > "$R/dev/$one"; mount --bind "/dev/$one" "$R/dev/$one"; done
mount --bind "$R/var/lib/halftime" "$R/var/lib/halftime"
mount -o remount,bind,ro "$R"
"$PYTHON" -c "$LOOPBACK"
exec chroot "$R" "$@"
"""
LOOPBACK = """
import fcntl, socket, struct
with socket.socket() as one:
    fcntl.ioctl(one, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
"""


def able() -> bool:
    """Whether rooms can be laid out here."""
    probe = ["unshare", *NAMESPACES, "--fork", "true"]
    try:
        return os.geteuid() == 0 and subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@dataclass
class Room:
    """A running program of an image."""

    image: Containerfile
    process: subprocess.Popen[bytes]
    log: Path
    env: list[str]

    @property
    def first(self) -> psutil.Process:
        """Its process 1."""
        return psutil.Process(self.process.pid).children()[0]

    def ask(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command beside it, as `docker exec` would."""
        enter = ["nsenter", f"--target={self.first.pid}", *NAMESPACES, "--root"]
        whole = [*enter, *PLAIN, "env", "-i", "-C", "/app", *self.env, *command]
        return subprocess.run(whole, capture_output=True, text=True, check=False)

    def wait_healthy(self, timeout_s: float = 90.0) -> None:
        """Wait until the image's own health check passes. Raises AssertionError with its log."""

        def healthy() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            return (
                bool(self.first.children(recursive=True) or True) and self.ask(self.image.healthcheck).returncode == 0
            )

        try:
            until(healthy, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-4000:]}") from None

    def stop(self, grace_s: float) -> int:
        """Send the stop signal to process 1; how it ended. Raises TimeoutExpired after the grace time."""
        self.first.send_signal(signal.Signals[self.image.one("STOPSIGNAL")])
        return self.process.wait(grace_s)


@contextmanager
def room(
    image: Containerfile, root: Path, command: list[str] | None = None, shown: tuple[Path, ...] = (), **env: str
) -> Iterator[Room]:
    """Run an image laid out in ``root``: `app`, and its packages in `opt/halftime`.

    ``shown`` are further folders of this machine that it may read, at their own paths.
    """
    places = [Path("/") / name for name in SYSTEM if Path("/", name).is_dir() and not Path("/", name).is_symlink()]
    places += [Path(sys.base_prefix), *shown]
    places = [place for place in places if not any(up in places for up in place.parents)]
    for place in [*places, *map(Path, ("/proc", "/tmp", "/dev", "/var/lib/halftime"))]:
        (root / place.relative_to("/")).mkdir(parents=True, exist_ok=True)
    for name in SYSTEM:
        if Path("/", name).is_symlink() and not (root / name).is_symlink():
            (root / name).symlink_to(os.readlink(Path("/", name)))
    os.chown(root / "var/lib/halftime", int(UID), int(UID))
    said = image.env | {"PATH": image.env["PATH"].replace("$PATH", "/usr/bin:/bin")} | env
    words = [f"{name}={value}" for name, value in said.items()]
    inside = [*PLAIN, "env", "-i", "-C", "/app", *words, *(command or image.entrypoint)]
    outer = os.environ | {
        "R": str(root), "SHOWN": " ".join(map(str, places)), "PYTHON": sys.executable, "LOOPBACK": LOOPBACK
    }  # fmt: skip
    log = root.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["unshare", *NAMESPACES, "--fork", "--kill-child", "sh", "-c", LAY, "room", *inside],
            env=outer, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: process.poll() is not None or psutil.Process(process.pid).children())
        yield Room(image, process, log, words)
    finally:
        end(process)
