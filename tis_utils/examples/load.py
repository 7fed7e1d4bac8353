"""From a profile to data: pool, queries and held-out examples, whatever their source."""

from pathlib import Path
from typing import Any

from tis_utils.errors import InputError
from tis_utils.examples import benchmarks, hub, jsonl
from tis_utils.examples.text import Data, Example, Query
from tis_utils.profiles import Profile

Queries = dict[str, list[Query]]


def load_data(profile: Profile, *, seed: int = 0) -> Data:
    """Load what `profile` names.

    Parameters
    ----------
    profile : Profile
    seed : int
        Draws the classroom or the natural pool.

    Returns
    -------
    Data
        Pool, queries and held-out examples.

    Raises
    ------
    InputError
        If a source is unknown, or does not have one of the profile's tasks.
    """
    if "classroom" in (profile.pool, profile.queries) and profile.pool != profile.queries:
        raise InputError(
            f"Profile {profile.name!r} mixes pool {profile.pool!r} with queries {profile.queries!r}: the classroom's "
            "pool and queries belong together. Set both to 'classroom', or neither."
        )
    if profile.pool == "classroom":
        from tis_utils.examples import classroom  # reasoning_gym takes seconds to import

        sizes = {name: getattr(profile, name) for name in ("pool_size", "n_queries", "n_test")}
        return classroom.build(**sizes, seed=seed, tasks=profile.tasks)
    queries, test = _queries(profile)
    return Data(_pool(profile, queries, test, seed), queries, test)


def _pool(profile: Profile, queries: Queries, test: Queries, seed: int) -> list[Example]:
    if profile.pool in ("natural", "calls"):
        from tis_utils.examples import function_calls, natural  # likewise

        options: dict[str, Any] = {
            "tasks": profile.tasks,
            "reserved": [query for part in (queries, test) for task in profile.tasks for query in part[task]],
            "without": set(profile.held_out.values()),
            "seed": seed,
        }
        if profile.pool == "calls":
            return function_calls.load_pool(profile.pool_size, **options)
        return natural.load_pool(profile.pool_size, shuffled=profile.shuffled, **options)
    return load_examples(profile.pool, profile.pool_size)


def load_examples(source: str, limit: int | None = None) -> list[Example]:
    """The first `limit` candidates of a file, a folder or a Hub data set."""
    path = Path(source)
    if path.suffix == ".jsonl" or (path.is_file() and path.suffix not in (".parquet", ".json")):
        return jsonl.read_examples(source)[:limit]
    return hub.load_pool(source, limit=limit)


def _queries(profile: Profile) -> tuple[Queries, Queries]:
    queries: Queries = {}
    test: Queries = {}
    for task in profile.tasks:
        everything, held_out = _of_task(profile.queries, task)
        if task in profile.held_out:
            held_out = list(benchmarks.gsm_symbolic())
        queries[task] = spread(everything, profile.n_queries)
        test[task] = spread(held_out or unused(everything, queries[task]), profile.n_test)
    return queries, test


def _of_task(source: str, task: str) -> tuple[list[Query], list[Query]]:
    """All queries of a task, and its held-out examples if there are any."""
    if source == "benchmarks" and task == "bfcl":
        from tis_utils.examples import function_calls  # likewise

        return function_calls.queries(), []
    if source == "benchmarks":
        return benchmarks.queries(task), benchmarks.held_out(task)
    queries, test = (hub.load_queries(source, task, split=split) for split in ("dev", "test"))
    return (queries, benchmarks.with_tests(test)) if task == "codex" else (queries, test)


def unused(items: list[Query], queries: list[Query]) -> list[Query]:
    """Examples of the queries' own subjects that are no queries, each text once: held out where no test split is."""
    seen = {query.prompt for query in queries}
    subjects = {query.meta.get("subject") for query in queries}
    kept = []
    for item in items:
        if item.meta.get("subject") in subjects and item.prompt not in seen:
            seen.add(item.prompt)
            kept.append(item)
    return kept


def spread(items: list[Query], count: int) -> list[Query]:
    """At most `count` items at equal distances: benchmarks are sorted by sub-task, and all should be heard."""
    if len(items) <= count:
        return items
    return [items[i * len(items) // count] for i in range(count)]
