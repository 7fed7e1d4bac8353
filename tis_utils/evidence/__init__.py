"""Rows become statements with intervals."""
