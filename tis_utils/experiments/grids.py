"""The experiments of the book by name: from a profile to the run specs of a grid."""

from collections.abc import Callable, Collection
from itertools import product

from tis_utils.errors import InputError
from tis_utils.experiments.run_spec import BINS, NONE, RunSpec, grid, quantile_grid
from tis_utils.profiles import Profile

PAPER_REPRESENTATIONS = ("embed", "rds", "less")
PAPER_SELECTORS = ("round_robin", "doubly_greedy", "knn_uniform", "knn_kde", "uot")
ROUND_ROBIN = [(name, "round_robin") for name in PAPER_REPRESENTATIONS]
INSTA_TASKS = 5  # as for P3 in the paper
FEW_COUNTS = (1, INSTA_TASKS, 20)  # numbers of tasks where INSTA meets its rivals
TASK_RIVALS = ("transfer@{}", "retrieval@{}", "insta@{}:random")
ILA_POOL_SHARES = (8, 4, 2)  # the pool is divided by these
DEITA = "deita"
ILA_RULES = ("ila", "ila@depth", "ila@coverage")
HYBRIDS = ("hybrid@nearest", "hybrid@deepest", f"hybrid@insta@{INSTA_TASKS}", f"hybrid@insta@{INSTA_TASKS}:cards")
ILA_VARIANTS = ("ila@tsne", "ila@tsne1", "ila@kmeans", "ila@grid6", "ila@grid24", "ila@words", "ila@tuned1")


def quantiles(profile: Profile) -> list[RunSpec]:
    """Ten distance bins of every representation."""
    return quantile_grid(profile.tasks, profile.representations, profile.bin_budget, profile.seeds)


def focus(profile: Profile) -> list[RunSpec]:
    """The nearest bin cut into ten again."""
    room = min(profile.bin_budget, profile.pool_size // BINS**2)
    return quantile_grid(profile.tasks, profile.representations, room, profile.seeds, focus=True)


def budgets(profile: Profile) -> list[RunSpec]:
    """Budget sweep of the representations (round-robin) and of the selectors (LESS), with the proxy if there is one."""
    names: list[str] = [*profile.representations, *(["less_proxy"] if profile.proxy else [])]
    methods = [(name, "round_robin") for name in names] + [("less", name) for name in PAPER_SELECTORS[1:]]
    return grid(profile.tasks, methods, sweep(profile), profile.seeds)


def cross(profile: Profile) -> list[RunSpec]:
    """Every representation with every selector."""
    methods = [(name, selector) for name in profile.representations for selector in PAPER_SELECTORS]
    return grid(profile.tasks, methods, profile.budgets, profile.seeds)


def tsds(profile: Profile) -> list[RunSpec]:
    """The two selectors of TSDS on LESS with Euclidean distances, as they were published."""
    methods = [("less", f"{name}@euclidean") for name in ("knn_uniform", "knn_kde")]
    return grid(profile.tasks, methods, profile.budgets, profile.seeds, baselines=False)


def tokens(profile: Profile) -> list[RunSpec]:
    """Budgets in answer tokens instead of examples, round-robin."""
    methods = [(name, "round_robin") for name in profile.representations]
    return grid(profile.tasks, methods, profile.budgets, profile.seeds, experiment="tokens")


def resample(profile: Profile) -> list[RunSpec]:
    """Selections of six random halves of the queries."""
    methods = [(name, "round_robin") for name in profile.representations]
    middle, seeds = [profile.budgets[len(profile.budgets) // 2]], profile.seeds
    return grid(profile.tasks, methods, middle, seeds, experiment="resample", draws=range(6), baselines=False)


def insta(profile: Profile) -> list[RunSpec]:
    """INSTA with growing numbers of tasks, its rivals, and at the largest budget max-of-max and alignment."""
    low, high = min(profile.budgets), max(profile.budgets)
    counts = sorted({INSTA_TASKS, *profile.task_counts})
    both = [f"insta@{k}{cards}" for cards in ("", ":cards") for k in counts] + [f"insta@{INSTA_TASKS}:random"]
    once = [f"insta@{INSTA_TASKS}{cards}:{option}" for cards in ("", ":cards") for option in ("max", "aligned")]
    methods = [(name, b) for b in dict.fromkeys((low, high)) for name in both] + [(name, high) for name in once]
    methods += [(rival.format(k), low) for rival in TASK_RIVALS for k in _few(profile)]
    places = product(profile.tasks, methods, profile.seeds)
    return list(dict.fromkeys(RunSpec(task, NONE, name, budget, seed) for task, (name, budget), seed in places))


def _few(profile: Profile) -> list[int]:
    """Numbers of tasks with which INSTA meets its rivals, at the lowest budget: some of those that it is run with."""
    return [k for k in FEW_COUNTS if k in {INSTA_TASKS, *profile.task_counts}]


def insta_rivals(profile: Profile) -> list[RunSpec]:
    """INSTA and its rivals alone, a part of ``insta``: what is compared between models of different size."""
    names = [name.format(k) for name in ("insta@{}", "insta@{}:cards", *TASK_RIVALS) for k in _few(profile)]
    methods = [(NONE, name) for name in names]
    return grid(profile.tasks, methods, [min(profile.budgets)], profile.seeds, baselines=False)


def ila_rivals(profile: Profile) -> list[RunSpec]:
    """ILA, its rivals, Random and the untuned model alone: what is compared between models of different size."""
    return grid(profile.tasks, [(NONE, rule) for rule in (*ILA_RULES, DEITA)], profile.budgets, profile.seeds)


def ila(profile: Profile) -> list[RunSpec]:
    """ILA, depth alone, coverage alone and Deita at every budget; smaller pools and other maps at some."""
    tasks, budgets, seeds = profile.tasks, profile.budgets, profile.seeds
    specs = grid(tasks, [(NONE, rule) for rule in ILA_RULES], budgets, seeds, baselines=False)
    sizes = [s for s in ila_pool_sizes(profile) if s >= max(budgets)]
    pools, ends = [(NONE, f"ila@pool{size}") for size in sizes], sorted({min(budgets), max(budgets)})
    specs += grid(tasks, pools, ends, seeds, baselines=False)
    specs += grid(tasks, [(NONE, name) for name in ILA_VARIANTS], [max(budgets)], seeds, baselines=False)
    return specs + grid(tasks, [(NONE, DEITA)], budgets, seeds, baselines=False)


def hybrids(profile: Profile) -> list[RunSpec]:
    """ILA's rounds and INSTA's tasks, each with a part of another method, at the lowest budget."""
    names = [name for name in HYBRIDS if profile.pool == "classroom" or not name.endswith(":cards")]  # it has cards
    return grid(profile.tasks, [(NONE, n) for n in names], [min(profile.budgets)], profile.seeds, baselines=False)


def published(profile: Profile) -> list[RunSpec]:
    """The subsets of others that the profile names, beside Random and the untuned model; empty if it names none."""
    specs = []
    for task in profile.tasks if profile.published else ():
        methods = [(NONE, f"published@{name.replace('{task}', task)}") for name in profile.published]
        specs += grid([task], methods, sweep(profile), profile.seeds)
    return specs


def ila_pool_sizes(profile: Profile) -> list[int]:
    """Sizes of the smaller pools from which ILA selects, increasing."""
    return [profile.pool_size // share for share in ILA_POOL_SHARES]


def sweep(profile: Profile) -> tuple[int, ...]:
    """Budgets of the budget sweeps."""
    return profile.sweep_budgets or profile.budgets


GRIDS: dict[str, Callable[[Profile], list[RunSpec]]] = {
    "quantiles": quantiles,
    "focus": focus,
    "budgets": budgets,
    "cross": cross,
    "tsds": tsds,
    "tokens": tokens,
    "resample": resample,
    "insta": insta,
    "ila": ila,
    "hybrids": hybrids,
    "insta_rivals": insta_rivals,
    "ila_rivals": ila_rivals,
    "published": published,
}


def specs_of(
    name: str, profile: Profile, tasks: Collection[str] = (), share: tuple[int, int] = (0, 1)
) -> list[RunSpec]:
    """Specs of the named grid, of all tasks or some, of which share (i, n) is every n-th from the i-th on.

    InputError for an unknown grid or task.
    """
    if name not in GRIDS:
        raise InputError(f"There is no grid {name!r}; known: {', '.join(GRIDS)}.")
    if unknown := [task for task in tasks if task not in profile.tasks]:
        raise InputError(f"Profile {profile.name!r} has no task {unknown[0]!r}; it has {', '.join(profile.tasks)}.")
    if not (specs := GRIDS[name](profile)):
        raise InputError(
            f"Profile {profile.name!r} names no published subsets. Add them, for example `published: "
            "['Harvard-DCML/tis-subset-datasets-Llama-2-7b-hf:less_rr_{task}_10000']`."
        )
    part, parts = share
    return [spec for spec in specs if not tasks or spec.task in tasks][part::parts]
