"""Tie this process's life to its supervisor's, then become the command.

Run by path with ``python -I -S``, so that it costs 20 ms and needs nothing installed. A ``preexec_fn`` would do the
same, but is not safe in a process with threads.

    python -I -S launch.py PARENT_PID SIGNAL command...
"""

import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Ask for SIGNAL when the parent's thread ends, then exec the command; exits 127 when it cannot be run."""
    parent, signal_number, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the supervisor ended before its child began")
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
