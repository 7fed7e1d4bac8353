"""The dry run: every job once, numbers by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from tis_utils.errors import InputError
from tis_utils.experiments.cost_estimate import plan, summary
from tis_utils.experiments.grids import GRIDS
from tis_utils.experiments.run_spec import RunSpec, zero_shot
from tis_utils.profiles import load_profile


@pytest.fixture
def paper():
    return load_profile("paper")


def test_every_job_of_the_paper_is_listed_once(paper) -> None:
    for name in ("quantiles", "focus", "budgets", "cross", "tokens", "resample"):
        cells = GRIDS[name](paper)
        jobs = plan(paper, cells)
        features = jobs[jobs["job"] == "features"]
        assert len(jobs) == len(set(cells)) + len(features)
        assert set(features["representation"]) == {"embed", "rds", "less"}
        assert (jobs["device_hours"] > 0).all()
    # METHODS §5: 5 tasks, 3 representations, 10 bins of 500, 3 seeds
    quantiles = plan(paper, GRIDS["quantiles"](paper)).query("job == 'quantile'")
    assert len(quantiles) == 5 * 3 * 10 * 3
    assert set(quantiles["budget"]) == {500}


def test_hours_of_one_run_by_hand(paper) -> None:
    sizes = paper.plan
    cell, none = RunSpec("gsm8k", "less", "round_robin", 1000, 0), zero_shot("gsm8k")
    hours = plan(paper, [cell, none]).set_index("job")["device_hours"]
    trained = 6 * sizes.parameters * 1000 * sizes.tokens_per_example * 2  # two epochs
    assert hours["budget"] - hours["zero_shot"] == pytest.approx(trained / (sizes.training_tflops * 1e12) / 3600)


def test_disk_is_that_of_the_feature_matrices(paper) -> None:
    disk = plan(paper, [RunSpec("bbh", name, "uot", 500, 0) for name in ("rds", "less")])
    disk = disk[disk["job"] == "features"].set_index("representation")["disk_gb"]
    rows = 197_196 + 5 * 81
    assert disk["rds"] == pytest.approx(rows * 4096 * 4 / 1e9)
    assert disk["less"] == pytest.approx(rows * 4 * 8192 * 4 / 1e9)


def test_no_generation_costs_less_and_a_smaller_proxy_too(paper) -> None:
    quiet = paper.model_copy(update={"metrics": {"bbh": "none"}})
    cells = [RunSpec("bbh", "less", "uot", 500, 0), RunSpec("bbh", "less_proxy", "uot", 500, 0)]
    loud, silent = plan(paper, cells)["device_hours"], plan(quiet, cells)["device_hours"]
    assert silent.iloc[-1] < loud.iloc[-1]
    assert loud.iloc[1] < loud.iloc[0]


def test_the_summary_adds_up_and_names_its_assumptions(paper) -> None:
    jobs = plan(paper, GRIDS["budgets"](paper))
    text = summary(jobs, paper)
    together = next(line for line in text.splitlines() if line.startswith("together"))
    assert together.split()[1] == str(len(jobs))
    assert float(together.split()[2]) == pytest.approx(jobs["device_hours"].sum(), abs=0.06)
    assert "training_tflops = 400" in text
    assert isinstance(jobs, pd.DataFrame)


def test_a_profile_without_a_plan_says_what_is_missing() -> None:
    with pytest.raises(InputError, match=r"Profile 'smoke' has no `plan`.*paper\.yaml"):
        plan(load_profile("smoke"), [zero_shot("words")])
