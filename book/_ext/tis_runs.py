"""Sphinx extension: what ran. The command that repeats a page, launch buttons, and the status page.

* Adds a box with the exact ``tis run`` line to the section *Try other parameters* of every chapter.
* Turns on Binder and Colab buttons once ``_config.yml`` names a public repository; without one there are none.
* Fills the directive ``{tis-status}`` with what the records beside the executed chapters say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from tis_utils import paths
from tis_utils.book.arguments import run_line
from tis_utils.plots.theme import LOOKS
from tis_utils.representations import pool_features  # noqa: F401 its import declares the steps
from tis_utils.storage.keys import versions

SECTION = "## Try other parameters\n"
BINDER = "https://mybinder.org"
COLAB = "https://colab.research.google.com"
GITHUB = "https://github.com/"


# --- the command that repeats a page ------------------------------------------------------------------


def rerun_box(stem: str, parameters: Mapping[str, Any], repository: str = "") -> str:
    """Markdown of the box; with a public repository also what a Colab notebook needs first."""
    lines = [
        ":::{admonition} Re-run this page",
        ":class: tis-rerun",
        "",
        "```bash",
        run_line(stem, parameters),
        "```",
        "",
        "These are the parameters of the page you see. How long it takes is on the [status page](../status.md).",
    ]
    if repository.startswith(GITHUB):
        lines += [
            "On Colab, run this cell first:",
            "",
            "```text",
            f"!git clone -q --depth 1 {repository} tis",
            "%cd tis",
            "%pip install -q -e .[smollm2]",
            'import sys; sys.path.insert(0, "")',
            "```",
        ]
    return "\n".join([*lines, ":::", ""])


def add_rerun_box(notebook: dict[str, Any], stem: str, repository: str = "") -> bool:
    """Put the box at the top of *Try other parameters*; return whether there is such a section."""
    parameters = notebook["metadata"].get("parameters", {})
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and SECTION in text:
            box = rerun_box(stem, parameters, repository)
            cell["source"] = text.replace(SECTION, f"{SECTION}\n{box}", 1)
            return True
    return False


def on_source_read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Rewrite a chapter's text before it is parsed; the file on disk stays as it is."""
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    add_rerun_box(notebook, path.stem, app.config.tis_repository)
    notebook["metadata"].pop("parameters", None)  # else they would stand on the page
    source[0] = json.dumps(notebook)


# --- launch buttons -----------------------------------------------------------------------------------


def on_config(app: Sphinx, config: Config) -> None:
    """Offer Binder, and Colab for GitHub, as soon as there is an address to launch from."""
    options = config.html_theme_options
    config.tis_repository = repository = options.get("repository_url", "").rstrip("/")  # type: ignore[attr-defined]
    if repository:
        options.setdefault("launch_buttons", {})["binderhub_url"] = BINDER
    if repository.startswith(GITHUB):
        options["launch_buttons"]["colab_url"] = COLAB


def on_page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Launch the clean notebook of the repository: executed chapters are in no commit."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            for button in group["buttons"]:
                button["url"] = button["url"].replace(f"{page}.ipynb", f"notebooks/{Path(page).name}.ipynb")


# --- the status page ----------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Return ``48 s``, ``1 min 46 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if whole < 60:
        text = f"{whole} s"
    else:
        text = f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def read_json(path: Path) -> dict[str, Any]:
    """Return a record's content; empty if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def machine(environment: Mapping[str, str]) -> str:
    """Everything recorded, as prose: the machine, Python, then the libraries and their versions."""
    first = ("machine", "processor", "processors", "python")
    count = environment.get("processors", "?")
    where = f"{count} cores ({environment.get('processor', 'unknown')}, {environment.get('machine', 'unknown')})"
    rest = sorted((name for name in environment if name not in first), key=str.lower)
    versions = [f"Python {environment.get('python', '?')}", *(f"{name} {environment[name]}" for name in rest)]
    return f"{where}; {', '.join(versions)}"


def chapter_table(chapters: Path) -> list[str]:
    """Markdown: one row per executed chapter, then the environments they ran in."""
    rows, environments = ["| Chapter | Profile | Run time | Ran on (below) |", "|---|---|---:|---:|"], []
    for notebook in sorted(chapters.glob("*.ipynb")):
        record = read_json(notebook.with_suffix(".json"))
        link = f"[](chapters/{notebook.name})"
        if not record:
            rows.append(f"| {link} | no record | | |")
            continue
        where = machine(record["environment"])
        if where not in environments:
            environments.append(where)
        profile = record["key"]["parameters"].get("profile", "classroom")
        rows.append(f"| {link} | `{profile}` | {duration(record['seconds'])} | {environments.index(where) + 1} |")
    return [*rows, "", *(f"{i + 1}. {text}" for i, text in enumerate(environments)), ""]


def stored_table(results: Path) -> list[str]:
    """Markdown: what came with the repository instead of being computed, from the manifests beside it."""
    rows = ["| Stored result | Profile | What | Computed in |", "|---|---|---:|---:|"]
    for path in sorted(results.glob("*/*.json")):
        facts = read_json(path)
        what = "features" if "shape" in facts else f"{facts['rows']:,} rows"
        what = f"{facts['runs']:,} runs" if "runs" in facts else what
        time = duration(facts["seconds"]) if "seconds" in facts else "not recorded"
        rows.append(f"| `{path.stem}` | `{path.parent.name}` | {what} | {time} |")
    return [*rows, ""]


def repeatability_table(results: Path) -> list[str]:
    """Markdown: what changed when the same was computed under other conditions."""
    path = results / "classroom" / "repeatability.csv"
    if not path.is_file():
        return ["It was not measured for this edition.", ""]
    rows = [
        "| Condition | Features | Similarity | Selection | Loss | All bits equal |",
        "|---|---|---:|---:|---:|:---:|",
    ]
    for row in pd.read_csv(path).itertuples():
        change = [
            f"{value:.0e}".replace("-", "\N{MINUS SIGN}") if value else "0"  # a hyphen would be broken after
            for value in (row.similarity, row.loss)
        ]
        same = "yes" if row.identical else "no"
        look = LOOKS[row.representation].label
        rows.append(f"| {row.condition} | {look} | {change[0]} | {row.jaccard:.2f} | {change[1]} | {same} |")
    return [*rows, "", *_changed_since(path.with_suffix(".json")), ""]


def _changed_since(manifest: Path) -> list[str]:
    """Say which representations of a stored measurement are computed otherwise today."""
    about = json.loads(manifest.read_text(encoding="utf-8"))["key"]["features"] if manifest.is_file() else {}
    old = [LOOKS[name].label for name, key in about.items() if key["versions"] != versions(name)]
    return [f"Measured before the last change of {' and '.join(old)}; to be measured again."] if old else []


TABLES = {
    "chapters": lambda source: chapter_table(Path(source, "chapters")),
    "stored": lambda source: stored_table(paths.DATA / "results"),
    "repeatability": lambda source: repeatability_table(paths.DATA / "results"),
}


class Status(SphinxDirective):
    """``{tis-status} NAME``: one of ``TABLES``, made when the book is rendered."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        lines = TABLES[self.arguments[0]](self.env.srcdir)
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source="tis-status"), self.content_offset, node)
        return node.children


def always_new(app: Sphinx, env: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Read the status page again at every rendering: it depends on files that come and go."""
    return [name for name in ("status",) if name in env.found_docs]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_config_value("tis_repository", "", "env")  # a new address means new pages
    app.add_directive("tis-status", Status)
    app.connect("config-inited", on_config)
    app.connect("env-get-outdated", always_new)
    app.connect("source-read", on_source_read)
    app.connect("html-page-context", on_page, priority=900)  # after the theme has made its buttons
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
