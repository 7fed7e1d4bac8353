"""One training, as every run of the book."""

from __future__ import annotations

import torch

from tis_utils.experiments.study import Study
from tis_utils.models.evaluation import mean_loss
from tis_utils.neighbours.training import tuned_model
from tis_utils.profiles import load_profile


def test_without_examples_the_model_stays_as_it_is() -> None:
    study = Study(load_profile("smoke"))
    assert tuned_model(study, [], 0) is study.model


def test_training_lowers_the_loss_and_leaves_the_base_alone() -> None:
    study = Study(load_profile("smoke"))
    task = study.profile.tasks[0]
    before = mean_loss(study.model, study.data.test[task])
    tuned = tuned_model(study, [e for e in study.data.pool if e.meta.get("group") == task][:20], 0)
    assert mean_loss(tuned, study.data.test[task]) < before == mean_loss(study.model, study.data.test[task])
    assert torch.get_num_threads() == 1
