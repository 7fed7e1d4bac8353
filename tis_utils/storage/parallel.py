"""Many independent calls: in parallel with joblib (its own loky, or a Ray or Dask cluster), or with a bar."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

from tis_utils.errors import InputError, check_choice

T = TypeVar("T")


def run_all(
    call: Callable[[T], Any], items: Sequence[T], *, jobs: int, engine: str = "loky", what: str = "", unit: str = "run"
) -> list[Any]:
    """Results of ``call(item)`` in the order of `items`, with a progress bar; several jobs run in other processes.

    ray, dask: a running cluster that RAY_ADDRESS or DASK_SCHEDULER_ADDRESS names, else one started here.
    """
    check_choice("engine", engine, ENGINES)
    if jobs < 1:
        raise InputError(f"jobs = {jobs}: at least one is needed.")
    call = partial(_with_settings, _settings(), call)
    # loky replaces a worker that has grown, as one does that has trained, and finishes its work
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)
    with ENGINES[engine](jobs), tqdm(total=len(items), desc=what, unit=unit) as bar:
        return _WithBar(bar, n_jobs=min(jobs, max(1, len(items))))(delayed(call)(item) for item in items)


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("TIS_")}


def _with_settings(settings: dict[str, str], call: Callable[[T], Any], item: T) -> Any:
    """Workers outlive a call and run on other machines: what the user has set since then travels with each item."""
    for name in _settings().keys() - settings:
        del os.environ[name]
    os.environ.update(settings)
    return call(item)


def progress(items: Iterable[T], total: int, what: str, show: bool) -> Iterable[T]:
    """Show a bar for work that takes more than two seconds (`TQDM_DISABLE=1` hides all bars)."""
    return tqdm(items, total=total, desc=what, delay=2, leave=False) if show else items


class _WithBar(Parallel):
    """joblib tells its progress to a bar; Ray's backend has no generators that could do it."""

    def __init__(self, bar: tqdm, **options: Any) -> None:
        super().__init__(**options)
        self.bar = bar

    def print_progress(self) -> None:
        """Joblib calls this whenever a call has finished."""
        self.bar.update(self.n_completed_tasks - self.bar.n)


@contextlib.contextmanager
def _ray(jobs: int) -> Iterator[None]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise _missing("ray", error) from error
    register_ray()
    ours = not ray.is_initialized()
    if ours:
        start = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": jobs, "include_dashboard": False}
        ray.init(log_to_driver=False, **start)
    try:
        with parallel_config("ray"):
            yield
    finally:
        if ours:
            ray.shutdown()


@contextlib.contextmanager
def _dask(jobs: int) -> Iterator[None]:
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise _missing("dask", error) from error
    scheduler = os.environ.get("DASK_SCHEDULER_ADDRESS")
    start = (
        {"address": scheduler} if scheduler else {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
    )
    with Client(**start), parallel_config("dask"):
        yield


def _missing(engine: str, error: ImportError) -> InputError:
    return InputError(
        f"The engine {engine!r} is not installed ({error}). Install the extra, pip install -e '.[cluster]', or use "
        "loky."
    )


ENGINES: dict[str, Callable[[int], AbstractContextManager[Any]]] = {
    "loky": lambda jobs: parallel_config("loky"),
    "ray": _ray,
    "dask": _dask,
}


def parse_share(text: str | None, ship: bool = False) -> tuple[int, int] | None:
    """Read "i/n" with 0 <= i < n, one machine's share of the work; None for all of it, and only that can be shipped."""
    if text is None:
        return None
    if ship:
        raise InputError("--ship needs the whole pool, or all runs of a grid; run it without --shard.")
    part, _, parts = text.partition("/")
    if not (text.isascii() and part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise InputError(f"--shard {text!r} is not I/N with 0 <= I < N, for example 0/4.")
    return int(part), int(parts)
