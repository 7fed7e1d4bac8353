"""Where things live. The only module that knows folders; everything else asks here."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(os.environ.get("TIS_ROOT", Path(__file__).resolve().parent.parent))
BOOK = ROOT / "book"
DATA = ROOT / "data"
NOTEBOOKS = ROOT / "notebooks"
PROFILES = NOTEBOOKS / "profiles"
BUILD = ROOT / "build"  # partial notebooks of failed runs, outputs of `tis run`


def cache_root() -> Path:
    """Folder of recomputable artefacts: the environment variable ``TIS_CACHE``, else ``.cache`` here."""
    return Path(os.environ.get("TIS_CACHE") or ROOT / ".cache").expanduser()
