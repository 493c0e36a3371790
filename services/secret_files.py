"""Settings from files: a folder with one file a secret, as Compose and Kubernetes mount them.

A file is named as the variable that it stands for, in small letters (``database_url``). What is in the environment goes
before it, and a file of another name is nobody's setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_settings import SecretsSettingsSource, SettingsError

FOLDER = "secrets_dir"


class SecretFiles(SecretsSettingsSource):
    """pydantic-settings' own reader, of the folder that the sources before it name as the setting ``secrets_dir``.

    Its errors are ValueError with the file's name, never with what is in it. Whether the folder is there is for the
    setting itself to say.
    """

    def __call__(self) -> dict[str, Any]:
        """The settings found in the folder; none when no folder is named. Raises ValueError for an unreadable file."""
        named = self.current_state.get(FOLDER)
        if not named or not Path(named).is_dir():
            return {}
        self.secrets_dir = str(named)
        try:
            return super().__call__()
        except SettingsError as error:  # the library's: it says which field, and its cause why
            raise ValueError(
                f"HALFTIME_SECRETS_DIR={named}: {error} ({type(error.__cause__).__name__}):"
                " let this user read the file, as text"
            ) from None
