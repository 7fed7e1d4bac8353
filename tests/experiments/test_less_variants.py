from __future__ import annotations

import pandas as pd
import pytest

from tis_utils.experiments import less_variants
from tis_utils.experiments.study import Study
from tis_utils.profiles import load_profile
from tis_utils.storage import stored_results


@pytest.mark.slow
def test_every_variant_is_measured_and_the_first_is_the_page_itself(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(stored_results, "RESULTS", tmp_path)
    profile = load_profile("smoke", tasks=["words"], pool_size=200, budgets=[8], seeds=[0])
    study = Study(profile)
    assert less_variants.stored(study).empty
    less_variants.keep(study)
    rows = less_variants.stored(study).set_index("variant")
    assert list(rows.reset_index()) == less_variants.COLUMNS
    assert list(rows.index) == list(less_variants.VARIANTS)
    assert rows["jaccard"].iloc[0] == 1
    assert (rows["jaccard"].between(0, 1) & rows["test_loss"].gt(0)).all()
    assert rows["jaccard"]["another seed"] < 1
    spec = next(s for s in less_variants.specs_of(study) if s.seed == 0)
    own = study.run([spec]).set_index("metric")["value"]["test_loss"]
    assert rows["test_loss"].iloc[0] == pytest.approx(own, rel=1e-7)
    assert less_variants.stored(Study(profile.model_copy(update={"max_length": 128}))).empty


def test_a_summary_does_not_let_ups_and_downs_cancel() -> None:
    losses = {"as on this page": (1.0, 2.0), "another seed": (1.5, 1.5)}
    rows = [
        (name, t, 8, s, 0.5, x)
        for name, pair in losses.items()
        for t, x in zip("ab", pair, strict=True)
        for s in (0, 1)
    ]
    table = less_variants.summary(pd.DataFrame(rows, columns=less_variants.COLUMNS))
    assert list(table.index) == list(less_variants.VARIANTS)
    assert table.loc["another seed"].tolist() == [0.5, 1.5, 0.5, 1]
    assert table.columns[-1] == "tasks with a higher loss, of 2"
    nothing = less_variants.summary(pd.DataFrame(columns=less_variants.COLUMNS))
    assert list(nothing.index) == list(table.index)
    assert nothing.iloc[:, :3].isna().all(axis=None)


def test_the_stored_table_of_the_classroom_is_current() -> None:
    study = Study(load_profile("classroom"))
    rows = less_variants.stored(study)
    assert len(rows) == len(less_variants.VARIANTS) * len(less_variants.specs_of(study))
