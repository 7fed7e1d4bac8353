"""The two errors meant for users, each one plain paragraph that the command line prints without a traceback."""

import difflib
from collections.abc import Iterable


class TisError(Exception):
    """Base of every error that is meant for the user's eyes."""

    exit_code = 1


class InputError(TisError, ValueError):
    """The caller asked for something that cannot be done as asked (exit code 2)."""

    exit_code = 2


class RunError(TisError, RuntimeError):
    """The request was fine, the run failed: a full disk, a broken file, a failing cell (exit code 1)."""


def check_choice(what: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is none of the known ones."""
    choices = list(known)
    if not isinstance(name, str) or name not in choices:
        near = difflib.get_close_matches(str(name), choices, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"Unknown {what} {name!r:.60}; known: {', '.join(choices)}.{hint}")


MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory")  # as libraries put it


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in Python's words or a library's."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in MEMORY)


def in_words(error: Exception) -> str:
    """What the command line prints for an error, whoever raised it."""
    if isinstance(error, TisError):
        return str(error)
    if is_exhausted(error):
        return (
            "not enough memory, here or below --memory. Finished work is kept. Take a smaller pool, budget or model, "
            "fewer --jobs, or allow more memory."
        )
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"stopped by an error that nobody foresaw: {what:.500}. Finished work is kept. Please report it with what "
        "`tis --debug …` prints for the same command."
    )
