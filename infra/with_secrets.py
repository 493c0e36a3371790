"""Start a module with variables taken from files: ``python -m infra.with_secrets NAME=FILE ... -- MODULE ...``.

For the servers of others that take an address with its password from their environment alone: so it stands neither in
a Compose file nor on a command line. The program takes this one's place, and with it every signal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

USAGE = "usage: python -m infra.with_secrets NAME=FILE ... -- MODULE [ARGUMENT ...]"


class SecretError(ValueError):
    """A variable or a file that cannot be used; the message never has what is in the file."""


def read_variables(pairs: Sequence[str]) -> dict[str, str]:
    """Variable -> what its file holds, without the last line break. Raises SecretError."""
    variables = {}
    for pair in pairs:
        name, _, file = pair.partition("=")
        if not name.isidentifier() or not file:
            raise SecretError(f"{pair[:60]!r} is no NAME=FILE")
        try:
            value = Path(file).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            why = type(error).__name__
            raise SecretError(f"{name}: {file} cannot be read ({why}): let this user read it") from None
        if not value:
            raise SecretError(f"{name}: {file} is empty: write the secret into it")
        variables[name] = value
    return variables


def main(arguments: list[str]) -> int:
    """Becomes the program; 2 when it cannot."""
    if "--" not in arguments or not arguments[arguments.index("--") + 1 :]:
        print(USAGE, file=sys.stderr)  # noqa: T201
        return 2
    split = arguments.index("--")
    try:
        variables = read_variables(arguments[:split])
    except SecretError as error:
        print(f"with_secrets: {error}", file=sys.stderr)  # noqa: T201
        return 2
    command = [sys.executable, "-m", *arguments[split + 1 :]]
    return os.execve(sys.executable, command, os.environ | variables)  # noqa: S606 - whoever starts this names it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
