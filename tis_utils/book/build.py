"""Build the book: execute the chapters that are out of date, render all pages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from joblib import cpu_count

from tis_utils import paths
from tis_utils.book.execute import Run, execute_all
from tis_utils.book.parameters import chapters
from tis_utils.errors import InputError, RunError
from tis_utils.profiles import Profile, load_profile
from tis_utils.storage.cache import Store


def build_book(
    profile: str = "classroom", *, folder: Path = paths.BOOK, fresh: bool = False, jobs: int | None = None
) -> list[Run]:
    """Execute stale chapters, `jobs` at once, then render ``book/``, or a copy of it in `folder`, to ``_build/html``.

    `fresh` forgets executed chapters and cached results first.
    """
    paths.check_folder(folder)
    settings = load_profile(profile)
    if folder.resolve() != paths.BOOK.resolve():
        _copy_pages(folder)
    if fresh:
        os.environ["TIS_FRESH"] = "1"  # the notebooks' kernels inherit it: nothing comes from data/results
        shutil.rmtree(folder / "chapters", ignore_errors=True)
        Store().forget()
        recompute(settings)
    runs = execute_all(chapters(), folder / "chapters", {"profile": profile}, jobs or default_jobs())
    for path in (folder / "chapters").glob("*"):  # of chapters that have another name today
        if path.stem not in {run.notebook.stem for run in runs} and path.suffix in {".ipynb", ".json"}:
            path.unlink()
    render(folder)
    return runs


def _copy_pages(folder: Path) -> None:
    if paths.inside(folder, paths.BOOK):
        raise InputError(
            f"{folder} lies in {paths.BOOK}, which is what would be copied. Choose a folder outside of book/."
        )
    shutil.copytree(paths.BOOK, folder, ignore=shutil.ignore_patterns("_build", "chapters"), dirs_exist_ok=True)


def recompute(profile: Profile) -> None:
    """Run every grid on all cores: chapters side by side would compute the runs they share twice."""
    from tis_utils.experiments.grids import GRIDS  # here and below: seconds to import
    from tis_utils.experiments.study import Study

    Study(profile).run([spec for specs in GRIDS.values() for spec in specs(profile)])


def default_jobs() -> int:
    """One chapter per core, at most four (each takes 1 to 2 GiB); one where a GPU does the work."""
    import torch

    return 1 if torch.cuda.is_available() else min(4, cpu_count())


def home_page(folder: Path = paths.BOOK) -> Path:
    """Where the rendered book starts."""
    return folder / "_build" / "html" / "index.html"


def render(folder: Path = paths.BOOK) -> None:
    """Run Jupyter Book with warnings as errors; a RunError holds its messages."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(folder), "-n", "-W", "--keep-going"]
    variables = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False, env=variables)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        messages = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-15:]
        raise RunError("The book could not be rendered:\n" + "\n".join(messages))
