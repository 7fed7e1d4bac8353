"""Copies of the notebooks for a class: the questions alone, and with the solutions; both read well in plain Jupyter."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

SOLUTION = "# Solution"
OWN = "# Your solution\n"
# A directive ends at a line with as many colons as it began with; what stands inside has fewer.
BLOCK = re.compile(
    r"^(:{3,})\{([\w:]+)\} ?([^\n]*)\n((?::\w[\w-]*:[^\n]*\n)*)(.*?)^\1[ ]*(?:\n|\Z)", re.MULTILINE | re.DOTALL
)


def write_copies(notebooks: Sequence[Path], folder: Path) -> list[Path]:
    """Write each notebook without solutions to `folder`, and with them to ``folder/solutions``; what was written."""
    written = []
    for solved in (False, True):
        target = folder / "solutions" if solved else folder
        target.mkdir(parents=True, exist_ok=True)
        for path in notebooks:
            notebook = copy(nbformat.read(path, as_version=4), solved=solved)
            nbformat.write(notebook, target / path.name)
            written.append(target / path.name)
    return written


def copy(notebook: NotebookNode, *, solved: bool) -> NotebookNode:
    """The notebook with directives as plain Markdown; solutions and answers shown where `solved`, else left out.

    A cell that starts with ``# Solution`` becomes an empty one; nothing that stays needs its names.
    """
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = plain(cell.source, solved=solved).strip()
            cells += [_with(cell, source=text)] if text else []
        elif cell.source.startswith(SOLUTION) and not solved:
            cells.append(_with(cell, source=OWN, metadata=NotebookNode()))
        else:
            cells.append(_with(cell, metadata=_unhidden(cell.metadata)))
    return _with(notebook, cells=cells)


def _with(node: NotebookNode, **changed: Any) -> NotebookNode:
    return NotebookNode({**node, **changed})


def plain(text: str, *, solved: bool) -> str:
    """Markdown without the directives of exercises, quizzes and folds."""

    def replace(found: re.Match[str]) -> str:
        _, name, title, options, body = found.groups()
        if not solved and name in {"solution", "dropdown"}:
            question = f"**{title}**\n\n" if title.endswith("?") else ""
            return "" if title == "Answer" else f"{question}*Your answer:*\n"
        inner = plain(body, solved=solved).strip()
        if name == "exercise":
            return f"### Exercise {title}\n\n{inner}\n"
        if "tis-quiz" in options:
            return f"**{title}**\n\n{inner}\n"
        kind = name.removeprefix("prf:").capitalize()  # a solution, theorem, proof, …
        heading = title if name in {"dropdown", "admonition"} else kind if name == "solution" else f"{kind} {title}"
        quoted = f"**{heading.strip()}**\n\n{inner}"
        return "".join(f"> {line}".rstrip() + "\n" for line in quoted.splitlines())

    return BLOCK.sub(replace, text)


def _unhidden(metadata: NotebookNode) -> NotebookNode:
    tags = [tag for tag in metadata.get("tags", []) if not tag.startswith("hide-")]
    return NotebookNode({**metadata, "tags": tags} if tags else {k: v for k, v in metadata.items() if k != "tags"})
