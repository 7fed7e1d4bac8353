"""ILA: select by coverage and depth, without queries (METHODS §8)."""
