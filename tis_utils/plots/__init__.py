"""A frame in, a figure out: one theme, one colour for each method."""
