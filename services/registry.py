"""The model registry: bundles registered in MLflow, fetched by alias, verified, and kept for when MLflow is away.

What is registered is a folder with a manifest and plain arrays; nothing in it is ever executed. The version's tag
``digest`` names the only bytes that may be loaded for it.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.bundle import BundleError, Manifest, load_bundle, read_manifest
from models.ensemble import Ensemble
from services.mlflow_link import experiment_id, mlflow_client
from services.registry_cache import BundleCache
from services.registry_http import (
    DIGEST,
    BadArtifact,
    MlflowHttp,
    NoSuchVersion,
    RegistryError,
    RegistryUnavailable,
    Version,
)

__all__ = [
    "BadArtifact", "LoadedBundle", "NoSuchVersion", "Registry", "RegistryError", "RegistryUnavailable", "Version",
]  # fmt: skip

BUNDLE = "bundle"
PLOTS = "plots"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedBundle:
    """A verified model. ``stale``: the registry could not say or give something newer, ``reason`` tells why."""

    version: Version
    ensemble: Ensemble
    folder: Path
    stale: bool = False
    reason: str | None = None

    @property
    def digest(self) -> str:
        """The bundle's digest."""
        return self.version.digest

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest: where it came from and its figures."""
        return read_manifest(self.folder, self.version.digest)


class Registry:
    """One registered model. Connects when first used; thread-safe."""

    def __init__(self, tracking_uri: str, model_name: str, cache_dir: Path) -> None:
        self.model_name = model_name
        self._tracking_uri = tracking_uri
        self._http = MlflowHttp(tracking_uri, model_name)
        self._cache = BundleCache(cache_dir)

    def get(self, alias_or_version: str) -> Version:
        """What an alias or a version number names now. Raises NoSuchVersion, RegistryUnavailable, BadArtifact."""
        return self._http.version(alias_or_version)

    def versions(self) -> list[Version]:
        """All versions, newest first. Raises RegistryUnavailable."""
        return self._http.versions()

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias to a version; keep a row in ``promotions`` too, MLflow has no history of it.

        Raises NoSuchVersion, RegistryUnavailable.
        """
        self._http.version(version)  # MLflow would take a number that does not exist
        self._http.set_alias(alias, version)

    def delete_alias(self, alias: str) -> None:
        """Take an alias away; nothing when it is not set. Raises RegistryUnavailable."""
        with suppress(NoSuchVersion):
            self._http.delete_alias(alias)

    def set_tag(self, version: str, name: str, value: str) -> None:
        """Put a tag on a version. Raises NoSuchVersion, RegistryUnavailable."""
        self._http.set_tag(version, name, value)

    def fetch(self, alias_or_version: str) -> LoadedBundle:
        """The model behind an alias or version number, verified, from this disk when it is there already.

        When MLflow does not answer, or what it holds is not what its version names, the model that this alias last
        led to is given instead, marked stale with the reason. Raises RegistryError when there is no such model either.
        """
        try:
            version = self._http.version(alias_or_version)
            ensemble = self._cache.load(version.digest)
            if ensemble is None:
                ensemble = self._cache.add(version.digest, lambda folder: self._http.download(version, folder))
        except RegistryError as error:
            return self._last_good(alias_or_version, error)
        except BundleError as error:
            bad = BadArtifact(f"{self.model_name} version {version.version} was refused: {error}")
            return self._last_good(alias_or_version, bad)
        self._cache.remember(alias_or_version, version)
        return LoadedBundle(version, ensemble, self._cache.place(version.digest))

    def of_digest(self, digest: str) -> Version:
        """The version with this digest. Raises NoSuchVersion, RegistryUnavailable."""
        found = next((version for version in self._http.versions() if version.digest == digest), None)
        if found is None:
            raise NoSuchVersion(f"{self.model_name} has no version with digest {digest}")
        return found

    def fetch_digest(self, digest: str) -> Ensemble:
        """Exactly the model with this digest, whatever its number is, from this disk when it is there.

        Raises NoSuchVersion, RegistryUnavailable, BundleError.
        """
        if not DIGEST.match(digest):
            raise NoSuchVersion(f"no model can have the digest {digest[:80]!r}: it has 64 hex digits")
        ensemble = self._cache.load(digest)
        if ensemble is not None:
            return ensemble
        for version in self._http.versions():
            if version.digest == digest:
                return self._cache.add(digest, partial(self._http.download, version))
        raise NoSuchVersion(f"{self.model_name} has no version with digest {digest}, and this machine has no copy")

    def _last_good(self, name: str, trouble: RegistryError) -> LoadedBundle:
        version = self._cache.remembered(self.model_name, name)
        ensemble = self._cache.load(version.digest) if version is not None else None
        if version is None or ensemble is None:
            raise trouble
        log.warning("%s %s: using version %s kept here: %s", self.model_name, name, version.version, trouble)
        return LoadedBundle(version, ensemble, self._cache.place(version.digest), stale=True, reason=str(trouble))

    def register(
        self,
        bundle_dir: Path,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        artifacts: Mapping[str, bytes | str] | None = None,
        tags: Mapping[str, str] | None = None,
        card: str | None = None,
    ) -> Version:
        """Log a run with parameters, metrics and plots (file name -> content), and register the bundle as a version
        that ``card`` (Markdown) describes.

        The bundle is loaded first, so nothing broken is registered. The same bundle again gives the version it has. No
        alias is set. Raises BundleError, RegistryUnavailable, RegistryError.
        """
        ensemble = load_bundle(bundle_dir)
        manifest = read_manifest(bundle_dir)
        wrong = sorted(name for name, value in (metrics or {}).items() if not math.isfinite(value))
        if wrong:
            raise RegistryError(f"metrics {', '.join(wrong)} are not finite numbers: leave out what was not measured")
        for known in self._http.versions():
            if known.digest == manifest.digest:
                return known
        facts = {
            "digest": manifest.digest,
            "source": manifest.source,
            "trained_through": manifest.trained_through.isoformat(),
            "ratings_as_of": manifest.ratings_as_of.isoformat() if manifest.ratings_as_of else "",
            "calibration_id": ensemble.calibration_id,
            "lineage": ensemble.lineage,
            "code_version": manifest.code_version,
        }
        every = {**(tags or {}), **facts}
        number = self._log_run(bundle_dir, params or {}, metrics or {}, artifacts or {}, every, card)
        version = self._http.version(number)
        # The maker's own copy is as good as a downloaded one, and there when MLflow is not.
        self._cache.add(version.digest, lambda folder: _copy(bundle_dir, folder))
        return version

    def _log_run(
        self,
        bundle_dir: Path,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        artifacts: Mapping[str, bytes | str],
        tags: Mapping[str, str],
        card: str | None,
    ) -> str:
        client = mlflow_client(self._tracking_uri)
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            experiment = experiment_id(client, self.model_name)
            run = client.create_run(experiment, run_name=f"{self.model_name} {tags['digest'][:12]}")
            run_id = run.info.run_id
            now = run.info.start_time
            client.log_batch(
                run_id,
                metrics=[Metric(name, float(value), now, 0) for name, value in sorted(metrics.items())],
                params=[Param(name, str(value)[:6000]) for name, value in sorted(params.items())],
                tags=[RunTag(name, str(value)) for name, value in sorted(tags.items())],
            )
            client.log_artifacts(run_id, str(bundle_dir), BUNDLE)
            with tempfile.TemporaryDirectory(prefix="halftime-plots-") as folder:
                for name, content in artifacts.items():
                    target = Path(folder) / Path(name).name
                    target.write_bytes(content.encode() if isinstance(content, str) else content)
                if artifacts:
                    client.log_artifacts(run_id, folder, PLOTS)
            client.set_terminated(run_id, "FINISHED")
            if not client.search_registered_models(f"name='{self.model_name}'"):
                client.create_registered_model(self.model_name)
            created = client.create_model_version(
                self.model_name,
                f"{run.info.artifact_uri}/{BUNDLE}",
                run_id,
                tags=dict(tags),
                description=card,
                await_creation_for=0,
            )
        except (MlflowException, RequestException) as error:
            raise RegistryUnavailable(f"MLflow at {self._tracking_uri} did not take the model: {error}") from error
        return str(created.version)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _copy(source: Path, target: Path) -> None:
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
