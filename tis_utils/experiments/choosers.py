"""Methods that choose from more than a similarity matrix: whole tasks (INSTA), coverage and depth (ILA).

A cell names one by its selector, with a setting after ``@``: ``insta@5`` takes five tasks, ``ila@tsne`` projects with
t-SNE. The modules hold two functions: ``picks(study, cell)``, indices into the pool, best first; and
``recipe(study, cell)``, everything those depend on besides the cell, the pool and the queries.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from tis_utils.cells import Cell

CHOOSERS = {"insta": "tis_utils.insta", "ila": "tis_utils.ila"}


def chooser_of(cell: Cell) -> ModuleType | None:
    """The module that chooses for a cell; None where a selector reads a similarity matrix."""
    module = CHOOSERS.get(cell.selector.partition("@")[0])
    return None if module is None else importlib.import_module(module)
