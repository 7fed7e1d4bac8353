"""Helpers of the book *A Critical Look at Targeted Instruction Selection, hands on*.

Examples become unit vectors (:mod:`representations`), unit vectors a similarity matrix
(:mod:`geometry`), a selector turns the matrix into an ordered list of indices (:mod:`selectors`), the
indices become a fine-tuned model (:mod:`training`), the model rows of a tidy table
(:mod:`experiments`), the table figures (:mod:`figures`).
"""

import importlib
import sys

MINIMUM_PYTHON = (3, 11)


def require_python(version=None):  # type: ignore[no-untyped-def]  # must parse on any Python 3
    """Stop with a plain sentence when Python is too old."""
    version = tuple((version or sys.version_info)[:2])
    if version < MINIMUM_PYTHON:
        raise SystemExit(
            "tis_utils needs Python 3.11 or newer, this is Python {}.{}. Install a newer Python and run "
            "`make setup PYTHON=python3.11` (or the name of your newer Python).".format(*version)
        )


require_python()

_WHERE = {
    "similarity": "tis_utils.selectors.similarity",
    "select": "tis_utils.selectors",
    "SELECTORS": "tis_utils.selectors",
    "REPRESENTATIONS": "tis_utils.representations",
}
__all__ = ["REPRESENTATIONS", "SELECTORS", "select", "similarity"]


def __getattr__(name):  # type: ignore[no-untyped-def]
    """Load the public names on first use: `tis --help` should not wait for PyTorch."""
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'tis_utils' has no attribute {name!r}")
