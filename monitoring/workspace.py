"""The folder that Evidently's own UI shows: each stored report adds its snapshot to the project of its window.

`monitoring.report_server` serves it. The table `reports` stays the truth; a deleted folder loses no report, only
what the UI lists. Adding the same report again replaces its snapshot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from monitoring.reports import SNAPSHOT
from services.settings import Settings


def workspace_path(settings: Settings) -> Path:
    """The folder of Evidently's UI."""
    return settings.home / "evidently"


def project_id(source: str, scope: str) -> UUID:
    """The project of the reports of one window over the games of one source; the same whenever it is made."""
    return uuid5(NAMESPACE_URL, f"halftime/{source}/{scope}")


def add_snapshot(folder: Path, report_id: int, body: dict[str, Any]) -> UUID | None:
    """Adds the snapshot of a report of a window, as it is stored under ``report_id``; its id in the workspace, None
    when the report had not enough games.

    The folder is made when it is missing. Raises OSError when it cannot be written.
    """
    if body.get(SNAPSHOT) is None:
        return None
    # Seconds and hundreds of megabytes: imported only by the process that makes a report.
    from evidently.core.serialization import SnapshotModel
    from evidently.sdk.models import ProjectModel
    from evidently.ui.workspace import Workspace

    import monitoring.report_metrics  # noqa: F401  (a stored report names our metrics)

    folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace.create(str(folder))
    source, scope = str(body["source"]), str(body["scope"])
    project = project_id(source, scope)
    if workspace.get_project(project) is None:
        about = f"Settled official forecasts of {source} games, against history; one snapshot a report"
        workspace.add_project(ProjectModel(id=project, name=f"Halftime, {source} games: {scope}", description=about))
    snapshot = uuid5(project, str(report_id))
    # Not add_run, which gives a new id each time.
    workspace.state.write_snapshot(project, snapshot, SnapshotModel.parse_obj(body[SNAPSHOT]))
    return snapshot
