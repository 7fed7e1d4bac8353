"""One training as every run of the book does it, for tables that evaluate the tuned model in their own way."""

from collections.abc import Sequence

import torch

from tis_utils.examples.text import Example
from tis_utils.experiments.study import Study
from tis_utils.models.fine_tuning import fine_tune
from tis_utils.models.load import LanguageModel


def tuned_model(study: Study, subset: Sequence[Example], seed: int) -> LanguageModel:
    """The study's model tuned on `subset` (as it is without one), on one thread: the same sums in the same order."""
    torch.set_num_threads(1)
    profile = study.profile
    if not subset:
        return study.model
    return fine_tune(study.model, subset, profile.training, seed=seed, max_length=profile.max_length)
