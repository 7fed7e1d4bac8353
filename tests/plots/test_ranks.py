"""Critical-difference diagrams."""

from __future__ import annotations

import numpy as np
from plots_support import line, texts

from tis_utils.plots import rank_diagram


def test_rank_diagram_names_every_method_with_its_rank() -> None:
    ranks = np.array([1.5, 3.0, 2.0, 3.5])
    words = texts(rank_diagram({"t": (ranks, 1.2)}, list("abcd")))
    assert {"a  1.50", "c  2.00", "3.00  b", "3.50  d", "critical difference 1.20"} <= set(words)


def test_methods_have_their_colour() -> None:
    (ax,) = rank_diagram({"t": (np.array([1.5, 2.5, 2.0]), 1.2)}, ["LESS, RR", "EMBED, RR", "LESS, UOT"]).axes
    for method, rank in (("less", 1.5), ("embed", 2.5), ("uot", 2.0)):
        assert line(ax, method).get_xdata()[0] == rank
