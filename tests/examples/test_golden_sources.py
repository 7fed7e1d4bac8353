"""Every source draws today what it drew when results were stored: a changed text changes a digest.

Whoever means a change stores the new digests, and runs again what was computed from the old ones.
"""

from __future__ import annotations

import pytest

from tis_utils.examples import benchmarks
from tis_utils.examples.classroom import pretraining_corpus
from tis_utils.examples.load import load_data
from tis_utils.profiles import load_profile
from tis_utils.storage.keys import digest

PROFILES = {  # pool, queries, held-out examples
    "smoke": (
        "962946fcd7ed04e2004cc4adfbf081ece20efc7c673fb1a38304938194cd5d51",
        "2163d0a1e60163838bb0f0ac88be56be0f20fd4160cce87d2ec556070be439c3",
        "163957297d5bdbfc9e799875210719f3fd2fe31211c00202af92605f10d3ac42",
    ),
    "classroom": (
        "31f783af849b52034805614ba9f649a960a9bb83ca619d6f5df769613a484c09",
        "63c195feadb039cae12c5d156f5c9952cd49442314c61188675a9a9435529dc0",
        "7fc2fa8f3add8d0ac71a42d7da3342a98678ea64ea85263692faaa0d448291ea",
    ),
    "smollm2": (
        "c0154617c4cc4d3bf3b6c33db0d73fa5905ec589c59b1469878a04b9f03b5126",
        "b22092fbd9d8c6085603f4d96632b3fc854bcdf5b58cb74bedd0882551aab4ea",
        "822976f8769f6bea676d216d895bfd9c572efca69a8f862e2a5b515e2d328ca7",
    ),
}
BENCHMARKS = {
    "bbh": "415a278e2b0c9ded5b7ab9155c5f934aeb87f09965d843003ac8c93808c17745",
    "codex": "a4a7f01ecb5620ac4b34deff2fa85ad7acffd14eb55127541b9d6399cbc7d1f8",
    "gsm8k": "035e9cca329928eef81526d11e1ce8c66e0829ac63bc26743284b8462014bae7",
    "mmlu": "0e8944addffc83991218235551887cc21d9266eae30a55bb2a0e1ddb6cc78ed3",
}
HELD_OUT = "b1bc458b8650bf314510600923a044c71e31a8057c1f4dc4fc0784fe2d4e17fe"  # of codex
CORPUS = "d6de946fc67835a9cf6c8b326104e18aaca4cd3b3ec87365ed1cb1c45008cc8d"  # of the tiny model


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_get_the_same_data_as_ever(name: str) -> None:
    data = load_data(load_profile(name))
    assert (digest(data.pool), digest(data.queries), digest(data.test)) == PROFILES[name]


@pytest.mark.parametrize("task", BENCHMARKS)
def test_benchmarks_hold_the_same_queries_as_ever(task: str) -> None:
    assert digest(benchmarks.queries(task)) == BENCHMARKS[task]


def test_the_other_problems_of_codex_are_the_same_as_ever() -> None:
    assert digest(benchmarks.held_out("codex")) == HELD_OUT


def test_the_corpus_of_the_tiny_model_is_the_same_as_ever() -> None:
    assert digest(pretraining_corpus(1000)) == CORPUS
