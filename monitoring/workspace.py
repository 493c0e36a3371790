"""The folder that Evidently's own UI shows: each stored report adds its snapshot to the project of its window.

`monitoring.report_server` serves it. The table `reports` stays the truth; a deleted folder loses no report, only
what the UI lists. Adding the same report again replaces its snapshot.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from monitoring.reports import SNAPSHOT
from services.settings import Settings

if TYPE_CHECKING:
    from evidently.sdk.models import ProjectModel

METADATA, SNAPSHOTS = "metadata.json", "snapshots"


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
    source, scope = str(body["source"]), str(body["scope"])
    project = project_id(source, scope)
    if not (folder / str(project) / METADATA).exists():
        about = f"Settled official forecasts of {source} games, against history; one snapshot a report"
        _add(folder, ProjectModel(id=project, name=f"Halftime, {source} games: {scope}", description=about))
    workspace = Workspace.create(str(folder))
    snapshot = uuid5(project, str(report_id))
    # Not add_run, which gives a new id each time.
    workspace.state.write_snapshot(project, snapshot, SnapshotModel.parse_obj(body[SNAPSHOT]))
    return snapshot


def _add(folder: Path, project: ProjectModel) -> None:
    """Adds a project whose description is whole as soon as it is there.

    Evidently would write it in place. Its UI watches the folder, and the thread that does ends for good when it reads
    a description of which nothing is written yet: no later project or snapshot is shown.
    """
    from evidently.ui.workspace import Workspace

    with TemporaryDirectory() as scratch:
        Workspace.create(scratch).add_project(project)
        made = Path(scratch, str(project.id), METADATA).read_bytes()
    place = folder / str(project.id)
    (place / SNAPSHOTS).mkdir(parents=True, exist_ok=True)
    part = place / f"{METADATA}.{os.getpid()}"
    part.write_bytes(made)
    try:
        # Not renamed: the UI does not see where to.
        os.link(part, place / METADATA)
    except FileExistsError:
        pass  # another report was first
    finally:
        part.unlink()
