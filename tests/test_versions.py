"""Keys of results hold the versions of all steps that were passed: compared with what the modules really import."""

from __future__ import annotations

import importlib
import re

import pytest
from test_layers import PACKAGE, imports, modules

from tis_utils.storage.keys import STEPS, step, versions

KNOWN = modules(PACKAGE)
# Where the work behind a key begins. A selector is called through `select` on what `similarity` made.
SELECTOR = ("selectors", "selectors.similarity")
ENTRIES = {
    "embed": ("representations.embed",),
    "rds": ("representations.rds",),
    "less": ("representations.less",),
    "lexical": ("representations.lexical",),
    "random": (*SELECTOR, "selectors.random"),
    "round_robin": (*SELECTOR, "selectors.greedy"),
    "doubly_greedy": (*SELECTOR, "selectors.greedy"),
    "knn_uniform": (*SELECTOR, "selectors.neighbours"),
    "knn_kde": (*SELECTOR, "selectors.neighbours"),
    "uot": (*SELECTOR, "selectors.transport"),
    "subset": ("experiments.subset",),
    "run": ("experiments.run",),
    "downstream": ("models.downstream",),
    "insta": ("neighbours.insta.selector",),
    "insta_rivals": ("neighbours.insta.rivals",),
    "transfer": ("neighbours.insta.transfer",),
    "ila": ("neighbours.ila.selector",),
    "deita": ("neighbours.ila.deita",),
    "hybrids": ("neighbours.hybrids",),
    "languages": ("neighbours.ila.languages",),
    "many_targets": ("neighbours.many_targets",),
    "designed_subsets": ("neighbours.ila.designed_subsets",),
}
# What these hand over stands in the key by its own key or digest, so the walk ends there.
HANDED_OVER = {
    f"tis_utils.{name}"
    for name in (
        "experiments.study",
        "experiments.similarities",
        "selectors",
        "examples.load",
        "examples.published_subset",
    )
}
FORMS = {"knn_uniform": {"density"}, "run": {"downstream"}}  # imported by the module, not passed on this way


def registered(name: str) -> set[str]:
    """Steps that a module announces."""
    return set(re.findall(r'^VERSION = step\("(\w+)", \d+\)', KNOWN[name].read_text(encoding="utf-8"), re.MULTILINE))


def steps_behind(key: str) -> set[str]:
    """Steps of all modules that the entry modules of a key import, directly or not."""
    entries = {f"tis_utils.{name}" for name in ENTRIES[key]}
    seen: set[str] = set()
    todo = set(entries)
    while todo:
        name = todo.pop()
        seen.add(name)
        if name not in HANDED_OVER or name == f"tis_utils.{ENTRIES[key][-1]}":  # the last entry is where the work is
            todo |= imports(KNOWN[name], KNOWN) - seen
    return {step for name in seen - (HANDED_OVER - entries) for step in registered(name)}


def test_every_key_has_an_entry() -> None:
    assert set(ENTRIES) == set(STEPS)


@pytest.mark.parametrize("key", STEPS)
def test_the_table_names_the_steps_that_are_imported(key: str) -> None:
    assert set(STEPS[key]) == steps_behind(key) - FORMS.get(key, set())


def test_every_announced_step_enters_a_key() -> None:
    announced = {step: name for name in KNOWN for step in registered(name)}
    assert set(announced) == {member for members in STEPS.values() for member in members}
    for name in announced.values():
        importlib.import_module(name)
    assert set(versions(*STEPS)) == set(announced)


@pytest.mark.parametrize(("name", "version"), [("no such step", 1), ("embed", 0), ("embed", 1.5), ("embed", True)])
def test_a_step_must_be_known_and_have_a_whole_number(name: str, version: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        step(name, version)  # type: ignore[arg-type]
