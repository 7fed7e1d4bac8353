"""Sentences of a notebook: people write them, code fills in the numbers, a box says where one does not hold."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from tis_utils.errors import InputError
from tis_utils.evidence.statistics import Estimate
from tis_utils.experiments.study import Study

pd.set_option("display.max_colwidth", None)  # tables of the notebooks show whole sentences
BOX = "> **Under these parameters this sentence of the page does not hold:**"


def say(text: str, /, **values: Any) -> Markdown:
    """Fill the fields of a written text; show it as the last expression of a cell, or with ``display``.

    Negative numbers get a minus sign, shares a space before %, NaN becomes "n/a"; braces of a formula are doubled.
    An InputError says which field has no value, which value no field, and what cannot be printed the way its field
    asks for.

    >>> say("LESS is ahead by {lead:+.1f} % in {k} of {n} tasks.", lead=-3.84, k=1, n=5).data
    'LESS is ahead by −3.8 % in 1 of 5 tasks.'
    """
    return Markdown(_filled(text, values))


def claim(text: str, /, *, holds: bool, otherwise: str = "", **values: Any) -> Markdown:
    """Show a written sentence where it `holds` for the rows at hand; else a box says so, and what holds `otherwise`.

    Fields and errors are those of :func:`say`, in both texts, whichever is shown.

    >>> print(claim("The lead grows to {lead} %.", holds=False, otherwise="It shrinks.", lead=12).data)
    > **Under these parameters this sentence of the page does not hold:**
    > The lead grows to 12 %.
    >
    > It shrinks.
    """
    if not isinstance(holds, bool | np.bool_):
        raise InputError(f"Whether the sentence {text!r} holds must be True or False; got {holds!r}.")
    sentence, rest = _filled(f"{text}\0{otherwise}", values).split("\0")
    if holds:
        return Markdown(sentence)
    lines = f"{sentence}\n\n{rest}".rstrip().splitlines()
    return Markdown("\n".join([BOX, *(f"> {line}".rstrip() for line in lines)]))


def with_interval(value: float, low: float, high: float, unit: str = "%", digits: int = 1) -> str:
    """Print a number and its interval, all with signs; without ends that are not known.

    >>> with_interval(3.8, -0.5, 5.5, "points")
    '+3.8 points [−0.5, +5.5]'
    """
    return Estimate(value, low, high).text(digits, unit)


def listed(items: Iterable[Any]) -> str:
    """Join things with commas and "and"; "none" where there are none.

    >>> listed(["EMBED", "RDS+", "LESS"])
    'EMBED, RDS+ and LESS'
    """
    *most, last = [str(item) for item in items] or ["none"]
    return f"{', '.join(most)} and {last}" if most else last


def ran_with(study: Study, budgets: Iterable[int] = (), more: str = "", /, **values: Any) -> Markdown:
    """Say what a page ran with: profile, candidates, tasks, queries, `budgets` if there are, seeds; then `more`.

    The fields of `more` take their `values` as in :func:`say`.
    """
    about, steps = study.profile, list(budgets)
    parts = [f"{len(study.data.pool):,} candidates", f"tasks {listed(about.tasks)} with {about.n_queries} queries each"]
    parts += [f"budgets {listed(steps)}"] * bool(steps) + [f"seeds {listed(about.seeds)}"]
    start = f"This page ran with the profile **{about.name}**: {', '.join(parts)}. "
    return Markdown((start + _filled(more, values)).rstrip())


class _Numbers(Formatter):
    """``str.format`` that refuses unused values and prints numbers as the book does."""

    def check_unused_args(self, used_args: Iterable[int | str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        if unused := set(kwargs) - set(used_args):
            raise LookupError(f"no field for {', '.join(sorted(unused))}")

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Real) and value != value:
            return "n/a"
        text = str(super().format_field(value, format_spec))
        return text.replace("-", "−").replace("%", " %") if isinstance(value, Real) else text


def _filled(text: str, values: Mapping[str, Any]) -> str:
    try:
        return _Numbers().format(text, **values)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        reason = f"no value for the field {error}" if isinstance(error, KeyError) else error
        given = ", ".join(values) or "nothing"
        raise InputError(f"The sentence {text!r} cannot be filled in: {reason}. Given: {given}.") from error
