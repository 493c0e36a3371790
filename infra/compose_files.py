"""What Prometheus and Alertmanager of infra/compose.yaml are told: ``python -m infra.compose_files`` writes it.

It is made by the code that tells those of the local stack, so that a target or a route is added once; ``--check``
compares the files with what would be written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from infra.made_files import write_or_check
from infra.prometheus import alertmanager_config, prometheus_config
from services.settings import ROOT, Settings

FOLDER = ROOT / "infra" / "compose"
RULES = Path("/etc/prometheus/halftime.yml")
HEAD = "# Made by `python -m infra.compose_files`: what is changed here is lost.\n"


def defaults() -> Settings:
    """Every setting at its default, whatever this machine's environment says: so are the ports in the containers."""
    fields = {name: field.default for name, field in Settings.model_fields.items()}
    return Settings(_env_file=None, **fields)


def texts() -> dict[Path, str]:
    """File -> what it says; each service's host is its name in compose.yaml."""
    settings = defaults()
    configs = {
        "prometheus.yml": prometheus_config(settings, rules=RULES, host_of=str),
        "alertmanager.yml": alertmanager_config(settings, host_of=str),
    }
    return {FOLDER / name: HEAD + json.dumps(config, indent=2) + "\n" for name, config in configs.items()}


def main(arguments: list[str]) -> int:
    """Write the files, or as asked; 1 when ``--check`` finds one that differs."""
    return write_or_check("infra.compose_files", texts(), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
