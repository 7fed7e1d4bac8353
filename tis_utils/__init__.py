"""Helpers of the book *A Critical Look at Targeted Instruction Selection, hands on*.

Examples become unit vectors (`tis_utils.representations`), unit vectors a similarity matrix, a selector turns it
into an ordered list of indices (`tis_utils.selectors`), the indices become a fine-tuned model (`tis_utils.models`), the
model becomes rows of a tidy table (`tis_utils.experiments`), the rows statements with intervals (`tis_utils.evidence`)
and figures (`tis_utils.plots`).
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

# Public name -> module and name there.
_WHERE = {
    "REPRESENTATIONS": ("tis_utils.representations", "REPRESENTATIONS"),
    "SELECTORS": ("tis_utils.selectors", "SELECTORS"),
    "published_figures": ("tis_utils.evidence.published", "figures"),
    "scorecard": ("tis_utils.evidence.claims", "scorecard"),
    "select": ("tis_utils.selectors", "select"),
    "similarity": ("tis_utils.selectors.similarity", "similarity"),
}
__all__ = ["REPRESENTATIONS", "SELECTORS", "published_figures", "scorecard", "select", "similarity"]


def __getattr__(name):  # type: ignore[no-untyped-def]
    """Load the public names on first use: `tis --help` should not wait for PyTorch."""
    if name in _WHERE:
        module, attribute = _WHERE[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'tis_utils' has no attribute {name!r}")
