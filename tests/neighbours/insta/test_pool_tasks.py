"""Which tasks a pool holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tis_utils.errors import InputError
from tis_utils.examples.load import Data
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta.pool_tasks import tasks_of


def test_tasks_are_the_families_of_the_pool(study: Study) -> None:
    names, labels = tasks_of(study)
    assert names == sorted({e.meta["family"] for e in study.data.pool})
    assert [names[t] for t in labels] == [e.meta["family"] for e in study.data.pool]


def test_a_pool_that_is_not_sorted_into_tasks_is_refused(study: Study) -> None:
    other = Study(study.profile, study.store)
    pool = [replace(e, meta={}) if i < 2 else e for i, e in enumerate(study.data.pool)]
    other.__dict__["data"] = Data(pool, study.data.queries, study.data.test)
    with pytest.raises(InputError, match="2 of 600 candidates belong to no task"):
        tasks_of(other)
