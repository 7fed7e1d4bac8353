"""The executed notebooks, run once more, give the same outputs in every checked cell."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from tests_support import new_cache
from tis_utils import paths, scorecard
from tis_utils.evidence import claims

pytestmark = pytest.mark.notebook
CHAPTERS = Path(os.environ.get("TIS_BOOK", paths.BOOK)).resolve() / "chapters"
# Run from nothing: between them all representations, selectors, trainings and evaluations. The other chapters take
# finished runs from the cache, or it would take as long as the first time.
COLD = ("00_quickstart", "07_budgets_selectors", "15_add_your_method")


def executed() -> list[Path]:
    found = sorted(CHAPTERS.glob("*.ipynb"))
    assert found, f"No executed notebooks in {CHAPTERS}: run `make book` or `make test` first."
    return found


@pytest.mark.timeout(3600)  # all chapters; first, with more than one test behind it: a worker then takes no other file
def test_a_second_run_gives_the_same_numbers(tmp_path: Path) -> None:
    chapters = executed()
    checked = [
        cell
        for path in chapters
        for cell in nbformat.read(path, as_version=4).cells
        if "nbval-check-output" in cell.metadata.get("tags", [])
    ]
    assert any(cell.outputs for cell in checked), "nothing would be compared"
    # two at a time, each on one core; a progress bar would appear on a slow machine only and be an output more
    one_core = {"OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1", "TQDM_DISABLE": "1"}
    warm = one_core | {"TIS_CACHE": str(paths.cache_root().resolve())}
    cold = one_core | {"TIS_CACHE": new_cache(tmp_path / "cold")}
    others = [path for path in chapters if path.stem not in COLD]
    parts = [path for path in chapters if path.stem in COLD], others[::2], others[1::2]
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(run_again, part, cache, tmp_path) for part, cache in zip(parts, (cold, warm, warm), strict=True)
        ]
    for run in runs:
        done = run.result()
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_every_notebook_was_executed_to_its_end() -> None:
    sources = [path.name for path in sorted(paths.NOTEBOOKS.glob("*.ipynb"))]
    assert [path.name for path in executed()] == sources
    for path in executed():
        code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code" and c.source.strip()]
        assert all(cell.execution_count for cell in code), path


def test_a_claim_has_one_value_on_all_pages() -> None:
    """Every graded number of the paper's runs that a page prints is one of the scorecard's."""
    card = scorecard(sources=["paper"])
    values = {claims.graded(row) for row in card.itertuples()}
    seen = {}
    for path in executed():
        outputs = [o for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", [])]
        text = " ".join(html.unescape("".join(o.get("data", {}).get("text/html", ""))) for o in outputs)
        for printed in re.findall(r"(?:shown|leaning|leaning against|open|refuted): [^<>]*? of 10 settings", text):
            seen.setdefault(printed, path.name)
    assert len(set(seen.values())) >= 3, "fewer than three pages print graded numbers"
    assert set(seen) <= values, {printed: page for printed, page in seen.items() if printed not in values}


def run_again(chapters: list[Path], variables: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Execute notebooks through nbval, which compares the outputs of the cells that ask for it."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=1200",
               "-p", "nbval_through_files",
               "-p", "no:xdist", "-p", "no:cacheprovider",  # nothing may be left among the chapters
               "--rootdir", str(CHAPTERS), "-c", os.devnull, *map(str, chapters)]  # fmt: skip
    environment = {**os.environ, **variables, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
