"""The configuration as the commands see it: read once, when first asked for."""

import os
from pathlib import Path

from agent.config.load import DEFAULT_CONFIG_FILE, LoadedConfig, load_config
from agent.errors import SinyalError


class Configuration:
    """The file that --config, SINYAL_CONFIG or the default names, read once.

    named is the path given by --config, or None.
    """

    def __init__(self, named: str | None) -> None:
        self.named = Path(named) if named is not None else None
        self._loaded: LoadedConfig | None = None
        self._mistake: SinyalError | None = None

    def load(self) -> LoadedConfig:
        """Return the configuration; a mistake in it raises ConfigMistake or NoPermission each time."""
        if self._loaded is None and self._mistake is None:
            try:
                self._loaded = load_config(self.named, os.environ)
            except SinyalError as mistake:
                self._mistake = mistake
        if self._mistake is not None:
            raise self._mistake
        assert self._loaded is not None
        return self._loaded

    def language(self) -> str:
        """Return gateway.language, or "id" where no configuration can be read."""
        try:
            return str(self.load().values["gateway.language"])
        except SinyalError:
            # The command itself reports the mistake, if it needs the configuration at all.
            return "id"

    def is_unconfigured(self) -> bool:
        """Return whether nobody named a file and the default one does not exist: a box before its set-up."""
        return self.named is None and "SINYAL_CONFIG" not in os.environ and not DEFAULT_CONFIG_FILE.exists()
