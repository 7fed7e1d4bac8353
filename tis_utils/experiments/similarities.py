"""What all runs of a profile share: pool, queries, held-out examples, features, similarities."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from tis_utils.errors import InputError, RunError
from tis_utils.examples.load import Data, load_data, load_examples
from tis_utils.examples.text import IGNORE, Example
from tis_utils.experiments.run_spec import NONE
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.profiles import Profile
from tis_utils.representations import LESS, RDS, REPRESENTATIONS, Embed, Lexical
from tis_utils.representations.pool_features import PoolFeatures
from tis_utils.selectors import select
from tis_utils.selectors.similarity import similarity
from tis_utils.storage import stored_results
from tis_utils.storage.cache import Store
from tis_utils.storage.keys import digest

Features = tuple[np.ndarray, dict[str, np.ndarray]]


class Similarities:
    """Data, features and similarities of one profile, each computed once; a ``Study`` adds the runs.

    Parameters
    ----------
    profile : Profile
    store : Store, optional
        Where features and finished runs are kept.
    data : Data, optional
        Pool, queries and held-out examples of your own; by default what the profile names.
    live : bool
        True: nothing is taken from ``data/results``.
    compute : bool
        False: features come from the store or from ``data/results``; if they are in neither, it is an error.
    """

    def __init__(
        self,
        profile: Profile,
        store: Store | None = None,
        *,
        data: Data | None = None,
        live: bool = False,
        compute: bool = True,
    ) -> None:
        self.profile, self.compute = profile, compute
        self.live = live or (compute and stored_results.hidden())
        self.store = store or Store()
        self._data = data
        self._features: dict[str, Features] = {}
        self._similarities: dict[tuple[str, str], np.ndarray] = {}
        self._orders: dict[tuple[str, str], np.ndarray] = {}
        self._recipes: dict[str, Any] = {}

    @functools.cached_property
    def data(self) -> Data:
        """Pool, queries and held-out examples."""
        return self._data or load_data(self.profile)

    @functools.cached_property
    def model(self) -> LanguageModel:
        """The untuned base model."""
        return self._loaded(self.profile.model)

    def _loaded(self, name: str) -> LanguageModel:
        lm = load_model(name, dtype=self.profile.dtype)
        return lm.with_own_template() if self.profile.chat_template == "model" else lm

    def representation(self, name: str) -> Embed | RDS | LESS | Lexical:
        """Build a representation with this profile's settings."""
        profile = self.profile
        if name == "embed":
            size = 64 if torch.cuda.is_available() else 16  # of a batch; only speed depends on it
            return Embed(profile.embedder, prompt=profile.embed_prompt, batch_size=size, show_progress=False)
        if name == "lexical":
            return Lexical()
        if name == "rds":
            return RDS(self.model, max_length=profile.max_length, batch_tokens=profile.batch_tokens)
        if name == "less":
            return self._less(self.model)
        if name == "less_proxy":
            return self._less(self._proxy)
        raise InputError(f"Unknown representation {name!r}; known: embed, rds, less, less_proxy, lexical.")

    def _less(self, model: LanguageModel) -> LESS:
        profile = self.profile
        less = profile.less.model_dump()
        return LESS(model, max_length=profile.max_length, batch_tokens=profile.batch_tokens, **less)

    @functools.cached_property
    def _proxy(self) -> LanguageModel:
        if self.profile.proxy is None:
            raise InputError(
                f"Profile {self.profile.name!r} names no proxy model, so there are no less_proxy features. Set proxy "
                "to the name or folder of a smaller model."
            )
        return self._loaded(self.profile.proxy)

    def features(self, name: str) -> Features:
        """Candidate features (N, D) and, per task, query features (M, D): float32 unit rows, cached."""
        if name not in self._features:
            self._features[name] = self._load_features(name)
        return self._features[name]

    def add_features(self, name: str, candidates: np.ndarray, queries: Mapping[str, np.ndarray]) -> None:
        """Compare a representation of your own: its features, under a name that is still free.

        Parameters
        ----------
        name : str
        candidates : ndarray, shape (N, D)
            Unit rows, in the order of the pool.
        queries : mapping of task to ndarray, shape (M, D)
            Unit rows for every task of the profile.

        Raises
        ------
        InputError
            If the name is taken, a task is missing, or the rows do not fit the pool or are not of length one.
        """
        if name in (*REPRESENTATIONS, "less_proxy", NONE):
            raise InputError(f"The name {name!r} is taken; give your features another one.")
        if missing := [task for task in self.profile.tasks if task not in queries]:
            raise InputError(f"The features {name!r} have no query rows for the task {missing[0]!r}.")
        if len(candidates) != len(self.data.pool):
            raise InputError(
                f"The features {name!r} have {len(candidates)} candidate rows, the pool has {len(self.data.pool)}."
            )
        for task in self.profile.tasks:
            self._similarities[name, task] = similarity(queries[task], candidates)
        self._orders = {key: order for key, order in self._orders.items() if key[0] != name}
        self._features[name] = np.asarray(candidates, np.float32), dict(queries)
        self._recipes[name] = digest(candidates, dict(queries))

    def pool_features(self, name: str) -> PoolFeatures:
        """Features of the whole pool under one representation, shard by shard."""
        queries = [query for task in self.profile.tasks for query in self.data.queries[task]]
        warmup_set = self._warmup_set if name.startswith("less") else None
        made = self.representation(name)
        return PoolFeatures(name, made, self.data.pool, queries, self.store, warmup_set, self._pool_digest)

    @functools.cached_property
    def _pool_digest(self) -> str:
        return digest(self.data.pool)

    @functools.cached_property
    def _warmup_set(self) -> list[Example] | None:
        return load_examples(self.profile.warmup_set) if self.profile.warmup_set else None

    def _load_features(self, name: str) -> Features:
        job = self.pool_features(name)
        known = None if self.live else stored_results.read_features(self.profile.name, name, job.key)
        if known is None and not self.compute and job.missing():
            raise RunError(
                f"The {name} features of profile {self.profile.name!r} are not stored, or were stored for other data "
                f"or step versions. `tis represent -R {name} --profile {self.profile.name}` computes them."
            )
        stacked = job.matrix() if known is None else known  # (N + all queries, D)
        n, tasks = len(self.data.pool), self.profile.tasks
        counts = [len(self.data.queries[task]) for task in tasks]
        parts = np.split(stacked[n:], np.cumsum(counts)[:-1])
        return stacked[:n], dict(zip(tasks, parts, strict=True))

    def similarity(self, representation: str, task: str) -> np.ndarray:
        """Similarity matrix of one task, float32 (M, N), read-only: all budgets and seeds share it."""
        if (representation, task) not in self._similarities:
            candidates, queries = self.features(representation)
            matrix = similarity(queries[task], candidates)
            matrix.flags.writeable = False
            self._similarities[representation, task] = matrix
        return self._similarities[representation, task]

    def order(self, representation: str, task: str) -> np.ndarray:
        """The whole pool in round-robin order, int64 (N,): what the distance bins are cut from."""
        if (representation, task) not in self._orders:
            self._orders[representation, task] = select("round_robin", self.similarity(representation, task), None)
        return self._orders[representation, task]

    @functools.cached_property
    def answer_tokens(self) -> np.ndarray:
        """Tokens of each candidate that carry a loss, int64 (N,)."""
        encoded = self.model.encode(self.data.pool, self.profile.max_length)
        return np.array([(text.labels != IGNORE).sum() for text in encoded])

    def feature_recipe(self, name: str) -> Any:
        """What the features of a representation depend on; the pool's digest where none is used."""
        if name not in self._recipes:
            self._recipes[name] = self._pool_digest if name == NONE else self.pool_features(name).key
        return self._recipes[name]
