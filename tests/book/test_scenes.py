"""The playground's payload: orders are `select`'s, numbers are the package's, texts cannot break out."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils import paths
from tis_utils.book.playground import maps
from tis_utils.book.playground.page import Playground, as_json, from_study, payload
from tis_utils.book.playground.scenes import SIX, Space, Texts, scene
from tis_utils.errors import InputError
from tis_utils.examples.text import Example, Query, chat_prompt, one_line
from tis_utils.plots.display import Picture
from tis_utils.plots.theme import CATEGORIES, KINDS, LOOKS
from tis_utils.selectors import SELECTORS, select
from tis_utils.selectors.similarity import similarity
from tis_utils.selectors.wasserstein import w1

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028 <img src=x onerror=alert(2)>"
N, M = 40, 4
BUDGETS = [1, 2, 5, 12]


def unpack(text: str, low: float, high: float) -> np.ndarray:
    """Read what ``maps.pack`` wrote, up to half a step, as the page does."""
    digits = maps.DIGITS.tobytes().decode("ascii")
    steps = [len(digits) * digits.index(a) + digits.index(b) for a, b in zip(text[::2], text[1::2], strict=True)]
    return low + np.array(steps) / maps.STEPS * (high - low)


def unit(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    rows = rng.normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def spaces() -> dict[str, Space]:
    rng = np.random.default_rng(3)
    return {
        name: Space(unit(rng, N, d), {"words": unit(rng, M, d), "pick": unit(rng, M + 1, d)})
        for name, d in (("embed", 3), ("less", 60))
    }


def texts(**changes: Any) -> Texts:
    kinds = ["clean" if j % 3 == 0 else "filler" for j in range(N)]
    values: dict[str, Any] = {
        "candidates": [f"{HOSTILE} {j}" for j in range(N)],
        "sources": [f"source {j % 2}" for j in range(N)],
        "kinds": {"words": kinds, "pick": kinds[::-1]},
        "queries": {"words": ["q"] * M, "pick": ["q"] * (M + 1)},
    }
    return Texts(**values | changes)


METHODS7 = {**SIX, "knn_uniform: alpha 0.9": {"alpha": 0.9}}


@pytest.fixture(scope="module")
def made(spaces: dict[str, Space]) -> dict[str, Any]:
    return scene("mine", "My pool", spaces, texts(), budgets=BUDGETS, about="x", methods=METHODS7, seeds=[5, 6])


@pytest.fixture(scope="module")
def playground(made: dict[str, Any]) -> Playground:
    tour = {"label": HOSTILE, "ask": "?", "scene": "mine", "task": "words", "space": "less", "method": "uot"}
    return Playground(payload([made], [tour | {"budget": 5}]), Picture(b"png", "a picture of one setting", 9))


# --- numbers -------------------------------------------------------------------------------------------


@given(st.integers(1, 3000), st.lists(st.integers(-5, 4000)))
def test_the_budget_grid_increases_to_its_end(largest, include):
    grid = maps.budget_grid(largest, include)
    assert grid[0] == 1
    assert grid[-1] == largest
    assert all(a < b for a, b in itertools.pairwise(grid))
    assert {b for b in include if 1 <= b <= largest} <= set(grid)
    assert all(b <= a + max(1, 0.08 * a + 1) for a, b in itertools.pairwise(grid))


@pytest.mark.parametrize("largest", [0, -3, 2.5, "10", True, None])
def test_an_impossible_largest_budget_is_refused(largest):
    with pytest.raises(InputError, match="positive whole number"):
        maps.budget_grid(largest)


@given(st.integers(1, 6), st.integers(1, 12), st.integers(1, 9), st.integers(0, 99))
def test_folding_keeps_distances_to_queries(m, n, d, seed):
    rng = np.random.default_rng(seed)
    queries, candidates = rng.normal(size=(m, d)), rng.normal(size=(n, d))
    folded_queries, folded = maps.facing(queries, candidates)
    assert folded.shape == (n, min(m, d) + 1)
    full = np.linalg.norm(queries[:, None] - candidates[None], axis=2)
    assert np.allclose(np.linalg.norm(folded_queries[:, None] - folded[None], axis=2), full, atol=1e-7)


def test_folding_keeps_w1_of_many_single_precision_dimensions():
    rng = np.random.default_rng(0)
    queries, candidates = unit(rng, 5, 2000), unit(rng, 30, 2000)
    queries[1] = queries[0]  # queries that span less than they count
    folded_queries, folded = maps.facing(queries, candidates)
    assert w1(folded, folded_queries) == pytest.approx(w1(candidates, queries), abs=1e-5)


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 99), st.data())
def test_coverage_equals_a_count_by_hand(m, n, seed, data):
    S = np.random.default_rng(seed).integers(0, 4, size=(m, n)) / 4  # many ties
    order = data.draw(st.permutations(range(n)))[: data.draw(st.integers(1, n))]
    nearest, records = maps.coverage(S, order)
    for place, j in enumerate(order):
        assert nearest[place] == min(i for i in range(m) if S[i, j] == max(S[:, j]))
    for i in range(m):
        expected, best = [], -1.0
        for place, j in enumerate(order, start=1):
            if S[i, j] > best:
                best = S[i, j]
                expected += [place, best, 1 + sum(S[i, k] > best for k in range(n))]
        assert records[i] == expected


@given(st.lists(st.floats(-1, 1), min_size=1), st.floats(-3, -1), st.floats(1, 3))
def test_positions_survive_packing(values, low, high):
    back = unpack(maps.pack(np.array(values), low, high), low, high)
    assert np.allclose(back, values, atol=(high - low) / 4095)


def test_equal_positions_survive_packing():
    assert unpack(maps.pack(np.array([2.0, 2.0]), 2.0, 2.0), 2.0, 2.0).tolist() == [2.0, 2.0]


def test_the_map_is_the_plane_of_largest_variance():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(50, 4)) * [5, 3, 0.1, 0.1]
    placed, queries, share = maps.flatten(rows, {"t": rows[:3]})
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    assert share == pytest.approx(values[:2].sum() / values.sum())
    assert np.allclose(queries["t"], placed[:3])
    assert np.allclose(placed.var(axis=0).sum() * 50, values[:2].sum())


def test_faithfulness_is_one_for_a_true_map_and_minus_one_for_a_reversed_one():
    candidates = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    query = np.zeros((1, 2))
    assert maps.faithfulness(query, candidates, np.array([[0.9, 0.5, 0.1]])) == pytest.approx(1)
    assert maps.faithfulness(query, candidates, np.array([[0.1, 0.5, 0.9]])) == pytest.approx(-1)


# --- scenes --------------------------------------------------------------------------------------------


def test_orders_are_those_of_select_at_every_budget(made, spaces):
    for name, space in spaces.items():
        for task, queries in space.queries.items():
            S = similarity(queries, space.candidates)
            stored = made["cells"][f"{name}/{task}"]["methods"]
            assert list(stored) == list(METHODS7)
            for method, options in METHODS7.items():
                for b in BUDGETS:
                    kind = method.partition(":")[0]
                    asked = select(kind, S, b, candidates=space.candidates, seed=5, **options)
                    assert stored[method]["order"][:b] == asked.tolist(), method


def test_w1_is_that_of_the_full_space(made, spaces):
    for name, space in spaces.items():
        for method, stored in made["cells"][f"{name}/words"]["methods"].items():
            for b, value in zip(BUDGETS, stored["w1"], strict=True):
                full = w1(space.candidates[stored["order"][:b]], space.queries["words"])
                assert value == pytest.approx(full, abs=6e-5), method


def test_random_is_summarised_over_all_seeds(made, spaces):
    space = spaces["less"]
    blank = np.zeros((1, N))
    for at, b in enumerate(BUDGETS):
        each = [w1(space.candidates[select("random", blank, b, seed=seed)], space.queries["pick"]) for seed in (5, 6)]
        spread = made["cells"]["less/pick"]["random"]
        assert spread["low"][at] == pytest.approx(min(each), abs=1e-4)
        assert spread["mean"][at] == pytest.approx(np.mean(each), abs=1e-4)
        assert spread["high"][at] == pytest.approx(max(each), abs=1e-4)


def test_positions_can_be_read_back(made, spaces):
    placed, queries, share = maps.flatten(spaces["less"].candidates, spaces["less"].queries)
    stored = next(s for s in made["spaces"] if s["id"] == "less")
    points = np.concatenate([placed, *queries.values()])
    middle, half = (points.max(0) + points.min(0)) / 2, 0.52 * np.ptp(points, axis=0).max()
    for axis in (0, 1):
        back = unpack(stored["map"][axis], middle[axis] - half, middle[axis] + half)
        assert np.allclose(back, placed[:, axis], atol=2 * half / 4000)
    assert stored["share"] == pytest.approx(share, abs=1e-3)
    assert stored["dimensions"] == 60


def test_the_view_of_the_queries_is_exact(made, spaces):
    space = spaces["embed"]
    S = similarity(space.queries["pick"], space.candidates)
    cell = made["cells"]["embed/pick"]
    for stored, exact in zip(cell["seen"], (S.max(axis=0), S.mean(axis=0)), strict=True):
        assert np.allclose(unpack(stored["at"], stored["low"], stored["high"]), exact, atol=3e-4)
    assert np.allclose(cell["pool_best"], S.max(axis=1), atol=1e-3)


def test_given_positions_are_kept_and_no_variance_is_claimed(spaces):
    at = np.random.default_rng(0).uniform(size=(N, 2))
    space = Space(spaces["embed"].candidates, spaces["embed"].queries, (at, {"words": at[:M], "pick": at[:5]}))
    stored = scene("own", "Own", {"ball": space}, texts(), budgets=[3])["spaces"][0]
    assert stored["share"] is None
    back = np.stack([unpack(column, 0, 1) for column in stored["map"]], axis=1)
    assert np.corrcoef(back[:, 0], at[:, 0])[0, 1] > 0.9999


def test_kinds_are_given_per_task_and_the_plain_one_comes_last(made):
    assert [k["label"] for k in made["kinds"]] == ["clean", "filler"]
    assert [k["plain"] for k in made["kinds"]] == [False, True]
    words, pick = (task["kind"] for task in made["tasks"])
    assert words == pick[::-1] == "".join("0" if j % 3 == 0 else "1" for j in range(N))


def test_a_selector_that_runs_short_leaves_a_note(spaces):
    found = scene("short", "Short", spaces, texts(), budgets=[1, N], methods={"knn_kde": {}})
    assert "gives mass to" in found["cells"]["less/words"]["methods"]["knn_kde"]["note"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "two words"}, "letters and digits"),
        ({"spaces": {}}, "at least one space"),
        ({"seeds": []}, "at least one space, method and seed"),
        ({"methods": {"best": {}}}, "selector 'best'"),
        ({"budgets": []}, "must increase"),
        ({"budgets": [2, 2]}, "must increase"),
        ({"budgets": [0, 2]}, "must increase"),
        ({"budgets": [1, N + 1]}, "at most the pool's 40"),
        ({"texts": texts(sources=["a"])}, "'sources': 1"),
        ({"texts": texts(candidates=["a"] * (N - 1))}, "texts of 39 candidates"),
        ({"texts": texts(queries={"words": ["q"] * M})}, "disagree"),
        ({"texts": texts(kinds={"words": ["a"] * N})}, "disagree"),
        ({"texts": texts(kinds={key: [str(j % 7) for j in range(N)] for key in ("words", "pick")})}, "7 kinds"),
    ],
)
def test_what_does_not_fit_together_is_refused(spaces, change, told):
    given_ = {"name": "x", "title": "X", "spaces": spaces, "texts": texts(), "budgets": [1, 3]} | change
    with pytest.raises(InputError, match=re.escape(told)):
        scene(**given_)


# --- payload and page ----------------------------------------------------------------------------------


class Scripts(HTMLParser):
    """Contents of all script elements, and the start tags of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._inside: dict[str, str | None] | None = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = dict(attrs) if tag == "script" else None

    def handle_data(self, data):
        if self._inside is not None:
            self.scripts.append((self._inside, data))
            self._inside = None


def test_the_payload_survives_the_page(playground):
    page = Scripts(playground._repr_html_())
    ((kind, text),) = page.scripts
    assert kind == {"type": "application/json"}
    assert json.loads(text) == json.loads(json.dumps(playground.data))
    assert json.loads(text)["scenes"][0]["texts"][0] == f"{HOSTILE} 0"


def test_no_text_can_leave_its_script_element(playground):
    page = playground._repr_html_()
    assert page.count("<script") == page.count("</script>") == 1
    assert Scripts(page).tags.count("img") == 1  # the still picture
    assert not set(as_json(playground.data)) & set("<>&\n")


def test_numbers_that_json_does_not_know_are_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        as_json({"w1": float("nan")})


def test_methods_look_as_everywhere(playground):
    looks = {m["id"]: m for m in playground.data["methods"]}
    assert list(looks) == list(METHODS7)
    for name in SELECTORS:
        assert (looks[name]["label"], looks[name]["colour"]) == (LOOKS[name].label, LOOKS[name].colour)
    variant = looks["knn_uniform: alpha 0.9"]
    assert (variant["label"], variant["remark"]) == ("KNN-Uniform", "alpha 0.9")


def test_a_method_of_the_readers_own_needs_no_look(made):
    mine = made | {"methods": ["my_method"]}
    assert payload([mine])["methods"][0]["label"] == "my method"


@pytest.mark.parametrize(
    "change", [{"scene": "other"}, {"task": "no"}, {"space": "rds"}, {"method": "best"}, {"budget": 3}]
)
def test_a_tour_that_leads_nowhere_is_refused(made, playground, change):
    with pytest.raises(InputError, match="on no scene's list"):
        payload([made], [playground.data["tours"][0] | change])


def test_an_incomplete_tour_and_missing_or_repeated_scenes_are_refused(made):
    with pytest.raises(InputError, match="lacks: ask, budget"):
        payload([made], [{"label": "l", "scene": "mine", "task": "words", "space": "less", "method": "uot"}])
    for scenes in ([], [made, made]):
        with pytest.raises(InputError, match="at least one scene"):
            payload(scenes)


def test_the_saved_page_is_whole_and_asks_nobody(playground, tmp_path):
    page = playground.save(tmp_path / "mine.html", title="A & B").read_text(encoding="utf-8")
    assert "<title>A &amp; B</title>" in page
    assert "ResizeObserver" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)[^\"]*", page)
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.html"]
    with pytest.raises(InputError, match=r"end in \.html"):
        playground.save(tmp_path / "mine.txt")


def test_a_candidate_costs_little():
    """What a pool of 3,000 adds per representation and query set, in bytes per candidate and pick."""
    rng = np.random.default_rng(0)
    n, largest = 3000, 200
    space = Space(unit(rng, n, 8), {"t": unit(rng, 16, 8)})
    words = Texts(["x"] * n, ["s"] * n, {"t": ["filler"] * n}, {"t": ["q"] * 16})
    fast = {name: {} for name in ("random", "round_robin", "doubly_greedy", "uot")}
    made = scene("big", "Big", {"a": space}, words, budgets=maps.budget_grid(largest), methods=fast)
    assert len(as_json(made["cells"]["a/t"])) < 5 * n + 14 * largest * len(fast)
    assert len(as_json(made)) < 28 * n + 14 * largest * len(fast)


# --- from a study --------------------------------------------------------------------------------------


def example(text: str) -> Example:
    return Example(
        "e", [{"role": "user", "content": text}, {"role": "assistant", "content": "42"}], "mine", {"kind": "k"}
    )


def test_texts_are_short_and_on_one_line():
    assert one_line(example("a\nb")) == "a b → 42"
    long = one_line(example("word " * 99), width=40)
    assert len(long) <= 40 + len(" → 42")
    assert "… → 42" in long
    assert one_line(Query("q", chat_prompt("How\nmany?"), "two", "t")) == "How many? → two"


def test_a_scene_of_a_study_uses_its_features_texts_and_kinds(spaces):
    pool = [example(f"question {j}") for j in range(N)]
    queries = {t: [Query("q", chat_prompt("?"), "!", t)] * len(q) for t, q in spaces["less"].queries.items()}
    study = SimpleNamespace(
        data=SimpleNamespace(pool=pool, queries=queries),
        profile=SimpleNamespace(tasks=("words", "pick")),
        features=lambda name: (spaces[name].candidates, spaces[name].queries),
    )

    def kind(e: Example, task: str) -> str:
        return f"{e.meta['kind']} for {task}"

    made = from_study(study, kind, representations=["less"], name="s", title="S", budgets=[1, 4], methods={"uot": {}})
    assert made["texts"][7] == "question 7 → 42"
    assert [k["label"] for k in made["kinds"]] == ["k for pick", "k for words"]
    S = similarity(spaces["less"].queries["words"], spaces["less"].candidates)
    assert made["cells"]["less/words"]["methods"]["uot"]["order"] == select("uot", S, 4).tolist()


# --- the style sheet -----------------------------------------------------------------------------------


def luminance(rgb: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_lightened_colours_stand_out_on_a_dark_page():
    css = (Path(paths.BOOK) / "_static" / "playground.css").read_text(encoding="utf-8")
    fade = int(re.findall(r'data-theme="dark"\] \.tis-playground \{ --fade: (\d+)%', css)[0]) / 100
    lines = [LOOKS[name].colour for name in SELECTORS]
    for colour, share in [(c, fade) for c in lines] + [(c, fade / 2) for c, _ in (*KINDS.values(), *CATEGORIES[:6])]:
        rgb = [int(colour[i : i + 2], 16) / 255 * (1 - share) + share for i in (1, 3, 5)]
        assert (luminance(rgb) + 0.05) / (luminance([0x12 / 255] * 3) + 0.05) >= 3, colour
