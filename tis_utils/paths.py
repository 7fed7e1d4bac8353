"""Where things live, and whether a file that a user names can be read or written, asked before the work starts."""

import importlib.util
import os
from pathlib import Path

from tis_utils.errors import InputError

ROOT = Path(os.environ.get("TIS_ROOT", Path(__file__).resolve().parent.parent))
BOOK = ROOT / "book"
DATA = ROOT / "data"
NOTEBOOKS = ROOT / "notebooks"
PROFILES = NOTEBOOKS / "profiles"
BUILD = ROOT / "build"  # partial notebooks of failed runs, outputs of `tis run`


def cache_root() -> Path:
    """Folder of recomputable artefacts: the environment variable ``TIS_CACHE``, else ``.cache`` here."""
    return Path(os.environ.get("TIS_CACHE") or ROOT / ".cache").expanduser()


LONGEST = 255 - len(".part.") - 32  # bytes of a name; files are written under a longer, temporary one


def check_file(path: Path, option: str = "--output") -> None:
    """Refuse a file that could not be written: a folder, a name too long, or a place that is closed."""
    if len(os.fsencode(path.name)) > LONGEST:
        raise InputError(
            f"The name {path.name[:20]}… is too long for a file. Give {option} a name of at most 200 letters."
        )
    _check_above(path, option)
    if path.is_dir():
        raise InputError(f"{path} is a folder. Give {option} the name of a file.")


def check_folder(path: Path, option: str = "--into") -> None:
    """Refuse a folder that could neither be written nor made, see :func:`check_file`."""
    _check_above(path / "file", option)


def _check_above(path: Path, option: str) -> None:
    try:
        above = next(parent for parent in path.absolute().parents if parent.exists())
    except (OSError, ValueError) as error:  # too long, or not a path at all
        raise InputError(f"{option} {str(path)[:40]!r} is no path here: {error}. Choose another one.") from error
    if not above.is_dir():
        raise InputError(
            f"{above} is a file, not a folder, so nothing can be written below it. Choose another {option}."
        )
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"The folder {above} cannot be written to. Check its permissions or choose another {option}.")


def package_folder(module: str) -> Path | None:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(module)
    return next(map(Path, spec.submodule_search_locations or ()), None) if spec else None


def exists(path: Path) -> bool:
    """Whether something is there; a text that can be no path is nowhere."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths are one file, through links and capital letters too where the system ignores them."""
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))


def inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder (or is it), links followed."""
    return path.resolve().is_relative_to(folder.resolve())
