"""The part of MLflow's REST interface that is read and pointed: versions, aliases, artifacts. No MLflow import.

Importing the MLflow client costs 1.5 s and 130 MB, too much for a service that only loads a bundle now and then.

    RegistryError
    +-- RegistryUnavailable    no answer in time, or the server failed: try again
    +-- NoSuchVersion          the registry answers that there is no such model, version or alias
    +-- BadArtifact            what the registry holds is not a bundle of ours, or not the one its version names
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

CONNECT_S = 1.0
READ_S = 4.0
MAX_FILES = 64
MAX_BYTES = 512 * 2**20
DIGEST = re.compile(r"^[0-9a-f]{64}$")
_FILE_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}$")
_MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


class RegistryError(RuntimeError):
    """The model registry could not do what was asked."""


class RegistryUnavailable(RegistryError, ConnectionError):
    """MLflow does not answer, or too slowly, or fails."""


class NoSuchVersion(RegistryError, LookupError):
    """There is no such model, version or alias."""


class BadArtifact(RegistryError, ValueError):
    """The registry holds something that must not be loaded."""


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version; ``digest`` is the bundle's, 64 hex digits."""

    model_name: str
    version: str
    digest: str
    run_id: str
    source: str
    tags: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


class MlflowHttp:
    """Short requests with short time limits. Thread-safe."""

    def __init__(self, tracking_uri: str, model_name: str) -> None:
        if not tracking_uri.startswith(("http://", "https://")):
            raise RegistryError(f"MLFLOW_TRACKING_URI is {tracking_uri!r}: name an MLflow server, http://host:port")
        self.model_name = model_name
        timeout = httpx.Timeout(READ_S, connect=CONNECT_S, pool=CONNECT_S)
        self._client = httpx.Client(base_url=tracking_uri.rstrip("/"), timeout=timeout, follow_redirects=False)

    def version(self, alias_or_version: str) -> Version:
        """The version an alias points to, or that number. Raises NoSuchVersion, RegistryUnavailable, BadArtifact."""
        if alias_or_version.isdigit():
            path, wanted = "model-versions/get", {"version": alias_or_version}
        else:
            path, wanted = "registered-models/alias", {"alias": alias_or_version}
        return _version(self._json("GET", path, params={"name": self.model_name, **wanted})["model_version"])

    def versions(self) -> list[Version]:
        """All versions that carry a bundle's digest, newest first. Raises RegistryUnavailable."""
        found: list[Version] = []
        params = {"filter": f"name='{self.model_name}'", "max_results": "200"}
        while True:
            page = self._json("GET", "model-versions/search", params=params)
            found += [_version(one) for one in page.get("model_versions", []) if "digest" in _tags(one)]
            if not page.get("next_page_token"):
                return sorted(found, key=lambda version: -int(version.version))
            params["page_token"] = page["next_page_token"]

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias to a version. Raises NoSuchVersion, RegistryUnavailable."""
        body = {"name": self.model_name, "alias": alias, "version": version}
        self._json("POST", "registered-models/alias", json=body)

    def set_tag(self, version: str, name: str, value: str) -> None:
        """Put a tag on a version. Raises NoSuchVersion, RegistryUnavailable."""
        body = {"name": self.model_name, "version": version, "key": name, "value": value}
        self._json("POST", "model-versions/set-tag", json=body)

    def delete_alias(self, alias: str) -> None:
        """Take an alias away. Raises NoSuchVersion, RegistryUnavailable."""
        self._json("DELETE", "registered-models/alias", json={"name": self.model_name, "alias": alias})

    def download(self, version: Version, folder: Path) -> None:
        """Every file of the version's bundle into ``folder``. Raises RegistryUnavailable, BadArtifact."""
        scheme, _, place = version.source.partition(":/")
        if scheme != "mlflow-artifacts":
            raise BadArtifact(
                f"version {version.version} lies at {version.source}: start the MLflow server with "
                "--artifacts-destination so that it hands artifacts out itself, and register again"
            )
        root = place.lstrip("/") if not place.startswith("//") else place.lstrip("/").partition("/")[2]
        listing = self._json("GET", "../mlflow-artifacts/artifacts", params={"path": root}).get("files", [])
        if not listing:
            raise BadArtifact(f"version {version.version} has no files at {version.source}")
        sizes = sum(int(one.get("file_size", 0)) for one in listing)
        if len(listing) > MAX_FILES or sizes > MAX_BYTES:
            raise BadArtifact(f"version {version.version} has {len(listing)} files of {sizes} bytes: that is no bundle")
        for one in listing:
            name = str(one["path"])
            if one.get("is_dir") or not _FILE_NAME.match(name):
                raise BadArtifact(f"version {version.version} holds {name[:80]!r}: that is no file of a bundle")
            self._save(f"/api/2.0/mlflow-artifacts/artifacts/{quote(root)}/{quote(name)}", folder / name)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _save(self, url: str, target: Path) -> None:
        try:
            with self._client.stream("GET", url) as response, target.open("xb") as out:
                if response.status_code != httpx.codes.OK:
                    raise RegistryUnavailable(f"MLflow answers {response.status_code} for {url}")
                received = 0
                for part in response.iter_bytes():
                    received += len(part)
                    if received > MAX_BYTES:
                        raise BadArtifact(f"{url} is larger than {MAX_BYTES} bytes")
                    out.write(part)
        except httpx.HTTPError as error:
            raise RegistryUnavailable(f"MLflow broke off {url}: {error!r}") from error

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        url = f"/api/2.0/{path.removeprefix('../')}" if path.startswith("../") else f"/api/2.0/mlflow/{path}"
        try:
            response = self._client.request(method, url, **request)
        except httpx.HTTPError as error:
            raise RegistryUnavailable(
                f"MLflow at {self._client.base_url} does not answer ({type(error).__name__}: {error})"
            ) from error
        try:
            body = response.json() if response.content else {}
        except ValueError as error:
            raise RegistryUnavailable(
                f"{self._client.base_url} answers {response.status_code}, not as MLflow does"
            ) from error
        if response.is_success and isinstance(body, dict):
            return body
        said = body if isinstance(body, dict) else {}
        if response.is_client_error and said.get("error_code") in _MISSING:
            raise NoSuchVersion(f"model {self.model_name!r}: {said.get('message', 'not found')}")
        raise RegistryUnavailable(f"MLflow answers {response.status_code}: {str(said.get('message', ''))[:200]}")


def _tags(found: dict[str, Any]) -> dict[str, str]:
    return {str(tag["key"]): str(tag.get("value", "")) for tag in found.get("tags", [])}


def _version(found: dict[str, Any]) -> Version:
    tags = _tags(found)
    digest = tags.get("digest", "")
    if not DIGEST.match(digest):
        raise BadArtifact(
            f"version {found.get('version')} of {found.get('name')} has the digest {digest[:80]!r}: it was not "
            "registered by this project; point the alias to a version that was"
        )
    return Version(
        model_name=str(found["name"]),
        version=str(found["version"]),
        digest=digest,
        run_id=str(found.get("run_id", "")),
        source=str(found.get("source", "")),
        tags=tags,
        aliases=tuple(str(alias) for alias in found.get("aliases", [])),
    )
