"""Known answers published by others, read from a folder outside the project.

The folder is named by NOUS_OUTSIDE_VECTORS; without it these tests are skipped.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "NOUS_OUTSIDE_VECTORS"


def load(name: str) -> Any:
    """Return the parsed JSON file, or skip the tests of the calling module."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no folder with {name}", allow_module_level=True)
    return json.loads((Path(folder) / name).read_text("utf-8"))
