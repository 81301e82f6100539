"""Modules that are loaded when they are used: SDKs take seconds of every process that collects."""

import importlib
from typing import Any


class Later:
    """Stands for a module until something of it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "pytest")):  # who collects tests asks everything for these
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)
