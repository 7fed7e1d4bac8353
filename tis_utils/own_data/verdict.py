"""What held-out losses after fine-tuning say: a table, intervals, and whether a lead is more than noise of seeds."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.stats import t as student

from tis_utils.errors import InputError, RunError

Losses = dict[str, np.ndarray]  # method -> loss of every held-out example in every run, (R, T)
LEVEL = 0.95
RANDOM, UNTUNED = "Random", "not fine-tuned"


@dataclass
class Comparison:
    """What a comparison says.

    Attributes
    ----------
    table : DataFrame
        One row per method: ``method``, ``runs``, ``held_out_loss`` (nats per token, mean over examples and runs) with
        its 95 % interval over held-out examples ``low`` and ``high``, and ``below_random`` (nats; positive is better)
        with the interval ``below_low``, ``below_high``, over held-out examples and over draws and seeds.
    sentences : list of str
        What the table says, a sentence each.
    warnings : list of str
        What to beware of.
    """

    table: pd.DataFrame
    sentences: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Table, sentences and warnings for a terminal."""
        return "\n".join([self.table.round(4).to_string(index=False, na_rep=""), "", *self.sentences, *self.warnings])


def judge(losses: Losses) -> Comparison:
    """Compare methods by their losses; :data:`RANDOM` has two runs or more, :data:`UNTUNED` one.

    Raises
    ------
    InputError
        If fewer than two held-out examples have a loss.
    RunError
        If a run diverged.
    """
    table, noise = _table(losses), _noise(losses)
    methods = (row for _, row in table.iterrows() if row["method"] not in (RANDOM, UNTUNED))
    sentences = [_sentence(row, noise[row["method"]]) for row in methods]
    result = Comparison(table, [*sentences, _against_untuned(losses)])
    if mute := int((~_usable(losses)).sum()):
        result.warnings.append(f"Left out: {mute} of the held-out examples have no answer within the longest text.")
    return result


def _usable(losses: Losses) -> np.ndarray:
    """Held-out examples with a loss under the untuned model, (T,): the others have no answer within the window."""
    usable = np.isfinite(losses[UNTUNED][0])
    if usable.sum() < 2:
        raise InputError(
            f"Only {usable.sum()} of {len(usable)} held-out examples have an answer within the longest text. Give "
            "--test answers, or raise max_length in the profile."
        )
    return usable


def _means(losses: Losses) -> Losses:
    """Loss of each usable held-out example, mean over runs, (T,)."""
    usable = _usable(losses)
    means = {name: rows[:, usable].mean(axis=0) for name, rows in losses.items()}
    if diverged := [name for name, values in means.items() if not np.isfinite(values).all()]:
        raise RunError(
            f"{diverged[0]}: a fine-tuning run diverged, its losses are no numbers. Lower the learning rate "
            "of the profile."
        )
    return means


def _half(values: np.ndarray) -> float:
    """Half the 95 % interval of a mean of independent values (Student's)."""
    n = len(values)
    return float(student.ppf((1 + LEVEL) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))


def _noise(losses: Losses) -> dict[str, float]:
    """Half the 95 % interval of each method's lead that the draws of Random alone would make."""
    usable = _usable(losses)
    runs = losses[RANDOM][:, usable].mean(axis=1)  # (R,)
    width = student.ppf((1 + LEVEL) / 2, len(runs) - 1) * runs.std(ddof=1)
    return {name: float(width * np.sqrt(1 / len(runs) + 1 / len(rows))) for name, rows in losses.items()}


def _table(losses: Losses) -> pd.DataFrame:
    means, noise, rows = _means(losses), _noise(losses), []
    for name, values in means.items():
        half, lead = _half(values), means[RANDOM] - values
        apart = 0.0 if name == RANDOM else float(lead.mean())
        # two sources of chance: which examples are held out, and which subset was drawn or seed used
        wide = np.hypot(_half(lead), 0.0 if name == UNTUNED else noise[name]) if name != RANDOM else np.nan
        mean, below = values.mean(), np.nan if name == RANDOM else apart
        rows.append((name, len(losses[name]), mean, mean - half, mean + half, below, apart - wide, apart + wide))
    columns = ["method", "runs", "held_out_loss", "low", "high", "below_random", "below_low", "below_high"]
    return pd.DataFrame(rows, columns=columns)


def _sentence(row: pd.Series, noise: float) -> str:
    """What a method's row says, chance considered."""
    lead, interval = row["below_random"], f"{row['below_low']:+.4f} to {row['below_high']:+.4f}"
    side = "below" if lead > 0 else "above"
    start = f"{row['method']}: {abs(lead):.4f} nats per token {side} Random (lead {interval})."
    if abs(lead) <= noise:
        return (
            f"{start} Not told apart: the difference is inside seed noise, draws of Random alone would make up to "
            f"{noise:.4f}. Use a larger --budget, more --draws and --seeds, or take Random."
        )
    if row["below_low"] <= 0 <= row["below_high"]:
        return (
            f"{start} Open: beyond seed noise, but other held-out examples may say otherwise. Give --test more of them."
        )
    verdict = "Better than Random" if lead > 0 else "Worse than Random: do not use this subset"
    return f"{start} {verdict} on these held-out examples, beyond seed noise."


def _against_untuned(losses: Losses) -> str:
    """Whether fine-tuning helps at all."""
    means = _means(losses)
    gains = {name: means[UNTUNED] - values for name, values in means.items() if name != UNTUNED}
    best = max(gains, key=lambda name: float(gains[name].mean()))
    gain, half = float(gains[best].mean()), _half(gains[best])
    if gain > half:
        return (
            f"Fine-tuning helps: {best} is {gain:.4f} nats below the untuned model ({gain - half:.4f} to "
            f"{gain + half:.4f})."
        )
    return (
        f"Fine-tuning does not visibly help: the best, {best}, is {gain:+.4f} nats below the untuned model "
        f"({gain - half:+.4f} to {gain + half:+.4f}). Train longer, at another rate, or on more."
    )
