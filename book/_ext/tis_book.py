"""Sphinx extension of this book: bundled JavaScript, folded parameters.

* Copies MathJax and plotly.js from the installed packages into ``_static/vendor``, so that the pages
  need no other machine and the repository need not carry megabytes of JavaScript.
* Puts parameters, those of the run and the imports into one fold: a page begins with its question and finding.
* Says of a folded solution that it is one, and of an exercise its level without a bracket in a bracket.
* Leaves out the copy of an interactive figure that only a live Jupyter can draw.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# es5/tex-svg-full.js of MathJax 3.2.2 as published on npm; the PyPI package carries the same bytes.
MATHJAX_SHA256 = "a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6"
PLOTLY = "application/vnd.plotly.v1+json"
SETUP = {"parameters", "injected-parameters", "hide-input"}
EXERCISE = re.compile(r"^(:::\{exercise\} .+?) \((level \d), (\d+ minutes)\)$", re.MULTILINE)
SOLUTION = {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
PROMPT = {"code_prompt_show": "Show parameters and imports", "code_prompt_hide": "Hide parameters and imports"}


def _package_file(module: str, *parts: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ExtensionError(f"The package that holds {module!r} is not installed; run the set-up command again.")
    path = Path(spec.submodule_search_locations[0], *parts)
    if not path.is_file():
        raise ExtensionError(f"{'/'.join(parts)} is missing from the installed {module!r}.")
    return path


def mathjax_file() -> Path:
    """Return MathJax with every TeX extension and SVG output (glyphs inside: no fonts to load)."""
    path = _package_file("sphinx-mathjax-offline", "static", "mathjax", "tex-svg-full.js")
    if hashlib.sha256(path.read_bytes()).hexdigest() != MATHJAX_SHA256:
        raise ExtensionError("The installed MathJax file is not the published MathJax 3.2.2; reinstall it.")
    return path


def plotly_file() -> Path:
    """Return plotly.js as the installed plotly package ships it."""
    return _package_file("plotly", "package_data", "plotly.min.js")


def copy_vendor(app: Sphinx, error: Exception | None) -> None:
    """Put our own and the bundled static files, with a note on licences, into the finished site."""
    if error is not None or app.builder.format != "html":
        return
    # Sphinx skips static files when no page has changed; a new style sheet must not wait for that.
    shutil.copytree(Path(app.srcdir, "_static"), Path(app.outdir, "_static"), dirs_exist_ok=True)
    folder = Path(app.outdir, "_static", "vendor")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(mathjax_file(), folder / "mathjax-tex-svg.js")
    shutil.copyfile(plotly_file(), folder / "plotly.min.js")
    (folder / "README.txt").write_text(
        "mathjax-tex-svg.js: MathJax 3.2.2, Apache License 2.0, https://www.mathjax.org\n"
        f"plotly.min.js: from plotly {importlib.metadata.version('plotly')} for Python, MIT License, "
        "https://plotly.com/javascript\n",
        encoding="utf-8",
    )


def fold_parameters(notebook: dict[str, Any]) -> None:
    """Make one ``hide-input`` cell of the parameters and of the code behind them that shows nothing."""
    cells = notebook["cells"]
    tags = [set(cell.get("metadata", {}).get("tags", [])) for cell in cells]
    start = next((k for k, names in enumerate(tags) if "parameters" in names), None)
    if start is None:
        return
    quiet = (SETUP & names and not cell.get("outputs") for cell, names in zip(cells[start:], tags[start:], strict=True))
    end = start + len(list(itertools.takewhile(bool, quiet)))
    setup = cells[start]
    setup["source"] = "\n\n\n".join("".join(cell["source"]) for cell in cells[start:end])
    setup["metadata"]["tags"] = sorted(set().union({"hide-input"}, *tags[start:end]))
    setup["metadata"].setdefault("mystnb", {}).update(PROMPT)
    cells[start:end] = [setup]


def name_levels(notebook: dict[str, Any]) -> None:
    """Take the brackets from level and minutes: the title of an exercise stands in brackets itself."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = EXERCISE.sub(r"\1, \2, \3", "".join(cell["source"]))


def name_solutions(notebook: dict[str, Any]) -> None:
    """Name the fold of every cell that begins with ``# Solution``."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and "".join(cell["source"]).startswith("# Solution"):
            cell["metadata"].setdefault("mystnb", {}).update(SOLUTION)


def drop_live_only(notebook: dict[str, Any]) -> None:
    """Drop plotly's own output format where HTML stands beside it: pages use the HTML, Jupyter the other."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                data.pop(PLOTLY, None)


def on_source_read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Rewrite a notebook's text before it is parsed; the file on disk stays as it is."""
    if not str(app.env.doc2path(docname)).endswith(".ipynb"):
        return
    notebook = json.loads(source[0])
    for rewrite in (fold_parameters, name_levels, name_solutions, drop_live_only):
        rewrite(notebook)
    source[0] = json.dumps(notebook)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    # Jupyter Book always sets this value; the extension that defines it is not loaded here.
    app.add_config_value("comments_config", {}, "env")
    app.connect("source-read", on_source_read)
    app.connect("build-finished", copy_vendor)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
