"""ILA: select by coverage and depth, without queries (Wu et al., arXiv 2509.06463)."""
