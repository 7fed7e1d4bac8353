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


def hand_on(package, names):  # type: ignore[no-untyped-def]
    """``__getattr__`` of a package that loads its public names on first use: `tis --help` should not wait for PyTorch.

    `names` has for each module what the package hands on of it, with spaces between.
    """
    where = {name: module for module, members in names.items() for name in members.split()}

    def __getattr__(name):  # type: ignore[no-untyped-def]
        if name in where:
            return getattr(importlib.import_module(where[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__


NAMES = {
    "tis_utils.errors": "InputError",
    "tis_utils.evidence": "published_figures scorecard",
    "tis_utils.examples.kinds": "view",
    "tis_utils.examples.load": "load_data",
    "tis_utils.experiments.run_spec": "RunSpec",
    "tis_utils.experiments.study": "Study",
    "tis_utils.labels": "label",
    "tis_utils.models.load": "load_tokenizer",
    "tis_utils.profiles": "load_profile",
    "tis_utils.representations": "REPRESENTATIONS",
    "tis_utils.selectors": "SELECTORS select",
    "tis_utils.selectors.overlap": "jaccard",
    "tis_utils.selectors.similarity": "similarity",
    "tis_utils.selectors.wasserstein": "w1",
}
__all__ = sorted(" ".join(NAMES.values()).split())
__getattr__ = hand_on(__name__, NAMES)
