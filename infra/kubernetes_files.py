"""Rules and dashboard as Kubernetes takes them: ``python -m infra.kubernetes_files`` writes both into the base.

Kustomize reads no file above its own folder, so they are copies of `monitoring/`, made and never edited; ``--check``
compares them with what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from infra.made_files import write_or_check
from infra.prometheus import RULES
from services.settings import ROOT

FOLDER = ROOT / "infra" / "kubernetes" / "base"
DASHBOARD = ROOT / "monitoring" / "dashboards" / "halftime.json"
HEAD = "# Made by `python -m infra.kubernetes_files`: what is changed here is lost.\n"


def prometheus_rule(rules: Path = RULES) -> dict[str, Any]:
    """The rules for the Prometheus Operator. Raises OSError."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "halftime"},
        "spec": yaml.safe_load(rules.read_text(encoding="utf-8")),
    }


def dashboards(dashboard: Path = DASHBOARD) -> dict[str, Any]:
    """The dashboard as Grafana's chart looks for it: by the label. Raises OSError."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "dashboards", "labels": {"grafana_dashboard": "1"}},
        "data": {dashboard.name: dashboard.read_text(encoding="utf-8")},
    }


def texts() -> dict[Path, str]:
    """File -> what it says. Raises OSError."""
    documents = {"prometheus-rule.yaml": prometheus_rule(), "dashboards.yaml": dashboards()}
    return {FOLDER / name: HEAD + _yaml(document) for name, document in documents.items()}


def _yaml(document: dict[str, Any]) -> str:
    return str(yaml.dump(document, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=120))


class _Blocks(yaml.SafeDumper):
    """Texts of several lines as blocks, so that a change of one line is one line in a diff."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _text)


def main(arguments: list[str]) -> int:
    """Write the files, or as asked; 1 when ``--check`` finds one that differs."""
    return write_or_check("infra.kubernetes_files", texts(), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
