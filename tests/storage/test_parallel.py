"""Every engine gives the same results in the same order."""

from __future__ import annotations

import importlib.util
import operator
import os

import pytest

from tis_utils.errors import InputError
from tis_utils.storage.parallel import ENGINES, run_all


def test_results_come_in_the_order_of_the_items_whatever_finishes_first() -> None:
    import time

    def slow_first(item: int) -> int:
        time.sleep(0.3 if item == 0 else 0)
        return -item

    assert run_all(slow_first, range(5), jobs=2) == [0, -1, -2, -3, -4]
    assert run_all(slow_first, [], jobs=2) == []


def test_several_jobs_are_several_processes_and_one_job_is_this_one() -> None:
    assert set(run_all(lambda _: os.getpid(), range(3), jobs=1)) == {os.getpid()}
    assert os.getpid() not in run_all(lambda _: os.getpid(), range(3), jobs=2)


@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_a_cluster_gives_the_same_or_says_what_to_install(engine: str) -> None:
    if importlib.util.find_spec({"dask": "distributed"}.get(engine, engine)):
        assert run_all(operator.neg, range(6), jobs=2, engine=engine) == [0, -1, -2, -3, -4, -5]
    else:
        with pytest.raises(InputError, match=rf"engine '{engine}' is not installed.*\[cluster\]"):
            run_all(operator.neg, range(6), jobs=2, engine=engine)


def test_unknown_engines_and_impossible_numbers_of_jobs() -> None:
    with pytest.raises(InputError, match="Unknown engine 'slurm'; known: loky, ray, dask"):
        run_all(operator.neg, [1], jobs=1, engine="slurm")
    with pytest.raises(InputError, match="jobs = 0"):
        run_all(operator.neg, [1], jobs=0)
    assert list(ENGINES) == ["loky", "ray", "dask"]


def test_an_error_in_a_call_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        run_all(lambda x: 1 // x, [1, 0], jobs=2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_the_user_sets_reaches_workers_that_run_already(jobs: int, monkeypatch) -> None:
    """A permission given after the first call, in a notebook say, was not seen by joblib's waiting workers."""

    def permission(_: int) -> str | None:
        return os.environ.get("TIS_RUN_CODE")

    for value in ("1", "0", None):
        monkeypatch.delenv("TIS_RUN_CODE") if value is None else monkeypatch.setenv("TIS_RUN_CODE", value)
        assert set(run_all(permission, range(2 * jobs), jobs=jobs)) == {value}
