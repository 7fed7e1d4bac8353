from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tis_utils.errors import RunError
from tis_utils.experiments import repeatability
from tis_utils.experiments.study import Study
from tis_utils.profiles import load_profile
from tis_utils.storage import stored_results as shipped


def found(similarity: float = 0.5, picks: tuple[int, ...] = (1, 2), loss: float = 1.0) -> dict[str, np.ndarray]:
    made: dict[str, np.ndarray] = {}
    for task in ("words", "pick"):
        made[f"similarity/less/{task}"] = np.full((2, 3), 0.5)
        made[f"picks/less/{task}"] = np.array([1, 2])
        made[f"loss/less/{task}"] = np.array([1.0, 2.0])
    changed = {"similarity": np.full((2, 3), similarity), "picks": np.array(picks), "loss": np.array([loss, 2.0])}
    return made | {f"{kind}/less/pick": value for kind, value in changed.items()}


def test_equal_measurements_are_identical() -> None:
    row = repeatability.compare(found(), found()).iloc[0]
    assert row.to_dict() == {
        "representation": "less", "similarity": 0.0, "jaccard": 1.0, "loss": 0.0, "identical": True,
    }  # fmt: skip


def test_the_worst_task_counts() -> None:
    row = repeatability.compare(found(), found(0.25, (1, 3), 1.5)).iloc[0]
    assert (row.similarity, row.jaccard, row.loss) == (0.25, pytest.approx(1 / 3), 0.5)
    assert not row.identical
    assert not repeatability.compare(found(), found(loss=np.nextafter(1.0, 2))).iloc[0].identical


def test_a_failing_process_is_an_error_that_says_which() -> None:
    small = load_profile("smoke", tasks=["words"], pool_size=100, budgets=[4])
    study = Study(small.model_copy(update={"model": "no such folder"}))
    with pytest.raises(RunError, match=r"repeatability failed under one thread: .*no such folder"):
        repeatability.measured(study)


@pytest.mark.slow
def test_a_second_process_gives_the_same_bits_and_the_table_is_stored(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shipped, "RESULTS", tmp_path)
    monkeypatch.setattr(repeatability, "CONDITIONS", {"one": {}, "again": {}})
    profile = load_profile("smoke", tasks=["words"], pool_size=100, budgets=[4])
    study = Study(profile)
    assert repeatability.stored(study).empty
    repeatability.keep(study)
    rows = repeatability.stored(study)
    assert rows["representation"].tolist() == list(repeatability.PAPER_REPRESENTATIONS)
    assert rows["identical"].all()
    assert list(rows) == repeatability.CHANGE_COLUMNS
    pd.testing.assert_series_equal(rows["jaccard"], pd.Series([1.0] * 3, name="jaccard"), check_dtype=False)
    other = Study(profile.model_copy(update={"max_length": 128}))
    assert repeatability.stored(other).empty
