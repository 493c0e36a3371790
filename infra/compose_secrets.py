"""The secrets of infra/compose.yaml, made once: ``python3 infra/compose_secrets.py [FOLDER]``.

Needs nothing but Python. A folder that exists is left as it is: PostgreSQL keeps the passwords it was first given.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".halftime" / "secrets"
DATABASES = {
    "database_url": ("halftime", "postgresql+psycopg2"),
    "mlflow_database_url": ("mlflow", "postgresql+psycopg2"),
    "prefect_database_url": ("prefect", "postgresql+asyncpg"),
}


def made() -> dict[str, str]:
    """File -> what is in it, new at every call. Every password is of hex digits, so no address needs quoting."""
    redis = secrets.token_hex(32)
    plain = {name: secrets.token_hex(32) for name in ("api_key", "grafana_password", "postgres_password")}
    urls = {
        name: f"{driver}://{role}:{secrets.token_hex(32)}@postgres:5432/{role}"
        for name, (role, driver) in DATABASES.items()
    }
    return plain | urls | {"redis_conf": f"requirepass {redis}", "redis_url": f"redis://:{redis}@redis:6379/0"}


def write(folder: Path = FOLDER) -> None:
    """Write them into a new folder. Raises FileExistsError, OSError.

    The folder keeps other users of this machine out; the files themselves may be read, since containers see the files
    alone, and under accounts of their own.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    for name, text in made().items():
        file = folder / name
        file.write_text(f"{text}\n", encoding="ascii")
        file.chmod(0o444)


def main(arguments: list[str]) -> int:
    """Write them where asked; 1 when they are there."""
    folder = Path(arguments[0]) if arguments else FOLDER
    try:
        write(folder)
    except FileExistsError:
        print(f"{folder} is there: its secrets stay as they are", file=sys.stderr)  # noqa: T201
        return 1
    print(folder)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
