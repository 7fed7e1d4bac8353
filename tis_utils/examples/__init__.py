"""Texts in: candidates and queries, the chat format, and where both come from."""
