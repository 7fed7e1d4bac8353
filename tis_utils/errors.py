"""The two errors a user may meet: bad input, and a run that could not finish.

Both carry one plain paragraph (what was wrong, what was expected, what to do next). The command line
prints that paragraph without a traceback and exits with ``exit_code``.
"""

from __future__ import annotations


class TisError(Exception):
    """Base of every error that is meant for the user's eyes."""

    exit_code = 1


class InputError(TisError, ValueError):
    """The caller asked for something that cannot be done as asked (exit code 2)."""

    exit_code = 2


class RunError(TisError, RuntimeError):
    """The request was fine, the run failed: a full disk, a broken file, a failing cell (exit code 1)."""
