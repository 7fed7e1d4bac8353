"""Whether a high score of INSTA, or of a rival that reads answers, goes with a high measured transfer."""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tis_utils.evidence.statistics import Floats, mean_estimate, spearman
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta.scores import score_tasks
from tis_utils.neighbours.insta.selector import embedded, instructions, target_family, target_instruction
from tis_utils.neighbours.insta.transfer import source_tasks

SCORERS = ("by prompts", "by cards", "by answers")  # the last is no INSTA: it reads answers and no instruction
KINDS = {"filler": "reasoning-gym families", "skill": "skill targets"}


def scores_by(study: Study, scorer: str, targets: Sequence[str]) -> pd.DataFrame:
    """Scores of one of `SCORERS`, models off the shelf: sources × targets."""
    return _likeness(study, targets) if scorer == "by answers" else _scores(study, targets, scorer == "by cards")


def _scores(study: Study, targets: Sequence[str], cards: bool) -> pd.DataFrame:
    known = instructions(study, cards=cards)
    texts = {
        target: target_instruction(study, target, cards=cards) if target in study.data.queries else known[target]
        for target in targets
    }
    return score_tasks(texts, known, functools.partial(embedded, study))


def _likeness(study: Study, targets: Sequence[str]) -> pd.DataFrame:
    """How alike the answers of a source and of a target's queries look: minus the distance of their :func:`looks`."""
    sources = {name: looks([e.messages[-1]["content"] for e in part]) for name, part in source_tasks(study).items()}
    queries = {task: looks([query.label for query in asked]) for task, asked in study.data.queries.items()}
    known = sources | queries
    return pd.DataFrame({t: {s: -np.abs(row - known[t]).sum() for s, row in sources.items()} for t in targets})


def looks(answers: Sequence[str]) -> Floats:
    """Share of digits, share of letters, and log of the mean length in characters, float64 (3,)."""
    text = "".join(answers)
    shares = [np.mean([kind(c) for c in text]) for kind in (str.isdigit, str.isalpha)]
    return np.array([*shares, np.log(len(text) / len(answers))])


def foreign(study: Study, gains: pd.DataFrame) -> pd.DataFrame:
    """Measured gains, sources × targets, without those of a target's own task (NaN)."""
    return pd.DataFrame({t: gains[t].drop(target_family(study, t), errors="ignore") for t in map(str, gains)})


def transfer_correlations(study: Study, gains: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation between scores and measured gains, over the sources of each target.

    Parameters
    ----------
    gains : DataFrame
        Sources × targets, in nats (:func:`tis_utils.neighbours.insta.transfer.gains`); a source that *is* the target
        does not count.
    scores : DataFrame
        Sources × targets, from :func:`scores_by`.

    Returns
    -------
    DataFrame
        One row per target: ``kind`` (skill or filler), ``rho``, the same with the ``size`` of the gain whatever its
        sign, ``chosen`` (the source with the highest score), ``gain`` after training on it, ``best_source`` and its
        gain, ``best``, and the share of sources that hurt, ``harmful``.
    """
    own, lines = foreign(study, gains), {}
    for target in map(str, own):
        saved = own[target].dropna()
        score = scores.loc[saved.index, target]
        chosen = str(score.idxmax())
        lines[target] = {
            "kind": "skill" if target in study.data.queries else "filler",
            "rho": float(spearman(score, saved)),
            "size": float(spearman(score, saved.abs())),
            "chosen": chosen,
            "gain": saved[chosen],
            "best_source": saved.idxmax(),
            "best": saved.max(),
            "harmful": (saved < 0).mean(),
        }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("target")


def correlation_table(study: Study, gains: pd.DataFrame) -> pd.DataFrame:
    """Mean correlation over targets with a 95 % interval, for every scorer and kind of target.

    Returns
    -------
    DataFrame
        Index statistic (what the score is compared with), targets (their kind), scorer; columns value, low, high.
    """
    special = gains.sub(foreign(study, gains).mean(axis=1), axis=0)
    lines = []
    for scorer in SCORERS:
        scores = scores_by(study, scorer, list(map(str, gains)))
        table = transfer_correlations(study, gains, scores)
        statistics = {
            "the gain": table["rho"],
            "its size, whatever its sign": table["size"],
            "the gain less the mean of the source": transfer_correlations(study, special, scores)["rho"],
        }
        for what, values in statistics.items():
            for kind, title in KINDS.items():
                part = values[table["kind"] == kind].to_numpy(float)
                lines.append((what, title, scorer, *mean_estimate(part)))
    index = ["statistic", "targets", "scorer"]
    return pd.DataFrame(lines, columns=[*index, "value", "low", "high"]).set_index(index)
