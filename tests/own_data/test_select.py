from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests_support import example, query
from tis_utils.errors import InputError
from tis_utils.examples.jsonl import read_examples, read_queries
from tis_utils.examples.shared_text import words
from tis_utils.examples.text import chat_prompt, chat_text
from tis_utils.own_data.checks import contaminated, duplicates, units, warnings
from tis_utils.own_data.output import save
from tis_utils.own_data.report import facts, sources
from tis_utils.own_data.result import Selection
from tis_utils.own_data.select import select_files
from tis_utils.profiles import load_profile
from tis_utils.representations import Embed
from tis_utils.selectors import select
from tis_utils.selectors.similarity import similarity
from tis_utils.selectors.wasserstein import w1
from tis_utils.storage.cache import Store

TOPICS = {
    "cooking": ["boil an egg", "bake bread", "fry onions", "make soup", "roast a chicken", "whip cream"],
    "sums": ["add 3 and 4", "add 5 and 9", "take 2 from 8", "add 7 and 7", "take 1 from 6", "double 12"],
}


def lines(path: Path, records: list[dict]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A pool in three formats, with a key of its own and an ugly text; queries on sums."""
    made = tmp_path_factory.mktemp("own")
    pool = [
        {"instruction": f"How do I {what}?", "output": "Like this: carefully.", "source": topic, "stars": place}
        for topic, requests in TOPICS.items()
        for place, what in enumerate(requests)
    ]
    pool[0] = {
        "prompt": "<script>alert(1)</script> How do I boil an egg?",
        "response": "</td><b>Slowly",
        "source": "<i>",
    }
    pool[1] = {"messages": [{"role": "user", "content": "How do I bake bread?"},
                            {"role": "assistant", "content": "Knead."}], "source": "cooking"}  # fmt: skip
    lines(made / "pool.jsonl", pool)
    lines(made / "queries.jsonl", [{"prompt": f"Add {i} and {i + 2}.", "label": str(2 * i + 2)} for i in range(12)])
    return made


@pytest.fixture(scope="module")
def result(folder: Path) -> Selection:
    return select_files(
        folder / "pool.jsonl",
        folder / "queries.jsonl",
        representation="embed",
        selector="round_robin",
        budget=4,
        settings=load_profile("smoke"),
        store=Store(folder / "cache"),
    )


def test_picks_and_distances_are_those_of_the_package_by_hand(folder: Path, result: Selection) -> None:
    embed = Embed("minilm")
    candidates = embed.candidates(read_examples(folder / "pool.jsonl"))
    queries = embed.queries(read_queries(folder / "queries.jsonl"))
    S = similarity(queries, candidates)
    np.testing.assert_allclose(result.S, S, atol=1e-5)
    assert result.picks.tolist() == select("round_robin", S, 4).tolist()
    assert {result.pool[i].source for i in result.picks} == {"sums"}
    assert result.distance == pytest.approx(w1(candidates[result.picks], queries), abs=1e-4)
    assert len(result.by_chance) == 5
    assert min(result.by_chance) > result.distance
    assert result.others["uot"].tolist() == select("uot", S, 4).tolist()


def test_the_subset_is_lines_of_the_pool_best_first(folder: Path, result: Selection) -> None:
    paths = save(result, folder / "out" / "subset.jsonl")
    pool = [json.loads(line) for line in (folder / "pool.jsonl").read_text(encoding="utf-8").splitlines()]
    subset = [json.loads(line) for line in paths["subset"].read_text(encoding="utf-8").splitlines()]
    assert subset == [pool[i] for i in result.picks]
    table = pd.read_csv(paths["table"])
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert (table["place"] - 1).tolist() == result.picks.tolist()
    assert result.S is not None
    assert table["similarity"].tolist() == pytest.approx(result.S[:, result.picks].max(axis=0).tolist(), abs=1e-4)


def test_the_report_escapes_what_the_data_hold(folder: Path) -> None:
    everything = select_files(
        folder / "pool.jsonl",
        folder / "queries.jsonl",
        representation="embed",
        selector="doubly_greedy",
        budget=12,
        settings=load_profile("smoke"),
        store=Store(folder / "cache"),
    )
    page = save(everything, folder / "all.jsonl")["report"].read_text(encoding="utf-8")
    assert "&lt;i&gt;" in page
    assert "<script" not in page
    assert "<b>Slowly" not in page
    assert "12 of 12 examples, selected with Doubly greedy on EMBED" in page
    assert "http" not in page.replace("http-equiv", "")  # nothing is loaded from elsewhere
    assert any("takes 100 % of the pool" in sentence for sentence in facts(everything)["warnings"])


def test_insta_takes_whole_sources_by_their_requests(folder: Path) -> None:
    chosen = select_files(
        folder / "pool.jsonl",
        folder / "queries.jsonl",
        representation="embed",
        selector="insta@1",
        budget=3,
        settings=load_profile("smoke"),
        store=Store(folder / "cache"),
    )
    assert len({chosen.pool[i].source for i in chosen.picks}) == 1  # both begin with "How do I": it cannot know which
    assert "round_robin" in chosen.others
    assert facts(chosen)["method"] == "insta@1"


def test_ila_reads_no_query(folder: Path) -> None:
    options = {
        "representation": "embed",
        "selector": "ila",
        "budget": 4,
        "settings": load_profile("smoke"),
        "store": Store(folder / "cache"),
    }
    without = select_files(folder / "pool.jsonl", None, **options)
    with_queries = select_files(folder / "pool.jsonl", folder / "queries.jsonl", **options)
    assert without.picks.tolist() == with_queries.picks.tolist()
    assert without.S is None
    assert with_queries.S is not None
    assert len(set(without.picks.tolist())) == 4


def test_random_needs_no_queries(folder: Path) -> None:
    chosen = select_files(
        folder / "pool.jsonl",
        None,
        representation="embed",
        selector="random",
        budget=3,
        settings=load_profile("smoke"),
        seed=5,
        store=Store(folder / "cache"),
    )
    assert chosen.picks.tolist() == select("random", np.zeros((1, 12)), 3, seed=5).tolist()
    assert chosen.S is None
    page = save(chosen, folder / "random.jsonl")["report"].read_text(encoding="utf-8")
    assert "How close it is" not in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"selector": "best"}, r"selector 'best'.*random.*uot"),
        ({"selector": "uot@3"}, r"selector 'uot@3'"),
        ({"representation": "tfidf"}, r"representation 'tfidf'"),
        ({"queries": None}, r"round_robin selects for a task, so it needs --queries"),
        ({"budget": 13}, r"Budget 13 is larger than the pool.*12 examples"),
        ({"budget": 0}, r"positive number of examples; got 0"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(folder: Path, options: dict, message: str) -> None:
    given_ = {
        "queries": folder / "queries.jsonl", "representation": "embed", "selector": "round_robin", "budget": 2,
        "settings": load_profile("smoke"), "store": Store(folder / "cache"),
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        select_files(folder / "pool.jsonl", **(given_ | options))


def given_rows(folder: Path, pool: object, queries: object) -> tuple[Path, Path]:
    """Two files of features."""
    for name, rows in (("pool", pool), ("queries", queries)):
        np.save(folder / f"{name}.npy", np.asarray(rows))
    return folder / "pool.npy", folder / "queries.npy"


@pytest.mark.parametrize("alike", [np.zeros((12, 3)), np.ones((12, 3))])
def test_features_that_tell_nothing_apart_are_refused(folder: Path, tmp_path: Path, alike: np.ndarray) -> None:
    files = tmp_path / "pool.npy", tmp_path / "queries.npy"
    np.save(files[0], alike)
    np.save(files[1], np.eye(3)[[0] * 12])
    given = {"representation": "embed", "selector": "uot", "budget": 2, "settings": load_profile("smoke")}
    with pytest.raises(InputError, match=r"No query tells the 12 candidates apart .* arbitrary"):
        select_files(folder / "pool.jsonl", folder / "queries.jsonl", features=files, **given)
    random = given | {"selector": "random"}
    assert len(select_files(folder / "pool.jsonl", folder / "queries.jsonl", features=files, **random).picks) == 2


def test_features_of_your_own_replace_the_model(folder: Path, tmp_path: Path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    pool, queries = 5 * rng.normal(size=(12, 3)), rng.normal(size=(12, 3))
    monkeypatch.setattr("tis_utils.experiments.similarities.Embed", lambda *_, **__: pytest.fail("a model was loaded"))
    chosen = select_files(
        folder / "pool.jsonl",
        folder / "queries.jsonl",
        representation="embed",
        selector="round_robin",
        budget=4,
        settings=load_profile("smoke"),
        store=Store(tmp_path / "cache"),
        features=given_rows(tmp_path, pool, queries.astype(np.float32)),
    )
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, pool)]
    np.testing.assert_allclose(chosen.S, unit[0] @ unit[1].T, atol=1e-6)
    assert chosen.picks.tolist() == select("round_robin", unit[0] @ unit[1].T, 4).tolist()
    page = save(chosen, tmp_path / "own.jsonl")["report"].read_text(encoding="utf-8")
    assert "4 of 12 examples, selected with Round-robin on given" in page


@pytest.mark.parametrize(
    ("pool", "queries", "message"),
    [
        (np.ones((11, 2)), np.ones((12, 2)), r"pool\.npy has 11 rows, .*pool\.jsonl has 12 examples"),
        (np.ones((12, 2)), np.ones((12, 3)), r"have 2 numbers, those of .*queries\.npy have 3"),
        (np.ones((12, 2), int), np.ones((12, 2)), r"pool\.npy must be one matrix of floating-point numbers"),
        (np.ones(12), np.ones((12, 2)), r"must be one matrix"),
        (np.diag([1.0] * 11 + [np.nan]), np.ones((12, 12)), r"Row 12 of .*pool\.npy holds NaN"),
        (np.array([{}] * 12), np.ones((12, 2)), r"pool\.npy cannot be read"),
    ],
)
def test_features_that_do_not_fit_are_refused(folder, tmp_path, pool, queries, message) -> None:
    options = {"representation": "embed", "selector": "random", "budget": 2, "settings": load_profile("smoke")}
    files = given_rows(tmp_path, pool, queries)
    with pytest.raises(InputError, match=message):
        select_files(folder / "pool.jsonl", folder / "queries.jsonl", features=files, **options)
    with pytest.raises(InputError, match="needs --queries"):
        select_files(folder / "pool.jsonl", None, features=files, **options)


def test_the_pool_is_never_replaced(folder: Path, result: Selection) -> None:
    before = (folder / "pool.jsonl").read_bytes()
    with pytest.raises(InputError, match="would replace the pool"):
        save(result, folder / "out" / ".." / "pool.jsonl")
    assert (folder / "pool.jsonl").read_bytes() == before


# --- checks -----------------------------------------------------------------------------------------


def test_duplicates_ignore_case_and_punctuation_but_not_answers() -> None:
    pool = [
        example("Yes.", prompt="Is it?", name="a"),
        example("no", prompt="is it", name="b"),
        example("yes", prompt="is  it!", name="c"),
        example("yes", prompt="Is it, really?", name="d"),
    ]
    assert duplicates(pool) == [[0, 2]]


@given(st.data())
def test_a_candidate_is_contaminated_exactly_when_it_shares_a_run_of_words(data: st.DataObject) -> None:
    texts = st.lists(st.sampled_from("abc"), min_size=1, max_size=8).map(" ".join)
    pool = [example(data.draw(texts), prompt=data.draw(texts), name=f"e{i}") for i in range(4)]
    queries = [query(data.draw(texts), prompt=data.draw(texts), name=f"q{i}") for i in range(2)]
    n = 4
    found = contaminated(pool, queries, n)
    for place, candidate in enumerate(pool):
        asked, said = (m["content"].split() for m in candidate.messages)
        text, hits = asked + said, []
        for q, wanted in enumerate(queries):
            request = wanted.prompt.removeprefix(chat_prompt("").split("\n")[0] + "\n").split("\n")[0].split()
            target = request + wanted.label.split()
            runs = {tuple(target[i : i + n]) for i in range(len(target) - n + 1)}
            shared = any(tuple(text[i : i + n]) in runs for i in range(len(text) - n + 1))
            hits.append((q, shared, len(target) < n and asked == request))
        sharing = [q for q, shared, _ in hits if shared]
        short = [q for q, _, whole in hits if whole]
        assert found.get(place) == (min(sharing) if sharing else min(short) if short else None)


def test_signs_tell_texts_apart_and_earlier_turns_count() -> None:
    pool = [example("4", prompt=f"What is 7 {sign} 3?", name=sign) for sign in "+-*"]
    assert duplicates(pool) == []
    assert contaminated(pool, [query("10", prompt="What is 7 + 3?", name="q")]) == {0: 0}
    turns = [("user", "Hi"), ("assistant", "Hello"), ("user", "Who wrote Emma?"), ("assistant", "Austen")]
    chat = replace(pool[0], messages=[{"role": role, "content": text} for role, text in turns])
    asked = "<|user|>\nHi\n<|assistant|>\nHello\n<|user|>\nWho wrote Emma?\n<|assistant|>\n"
    same = replace(query("Austen", prompt="x", name="q"), prompt=asked)
    assert contaminated([chat], [same]) == {0: 0}


def test_lexical_needs_no_model_and_names_queries_without_a_known_word(folder: Path, tmp_path: Path) -> None:
    queries = lines(
        tmp_path / "queries.jsonl",
        [{"prompt": "Whip the cream!", "label": "…"}, {"prompt": "Qué?", "label": "Nada", "id": "foreign"}],
    )
    options = {"representation": "lexical", "selector": "round_robin", "settings": load_profile("smoke")}
    chosen = select_files(folder / "pool.jsonl", queries, budget=1, store=Store(tmp_path / "cache"), **options)
    assert "whip cream" in chat_text(chosen.pool[chosen.picks[0]])
    assert (chosen.mute, chosen.lost) == (["foreign"], 0)
    assert chosen.settings["model"] == "none (words are compared)"
    dots = lines(tmp_path / "dots.jsonl", [{"prompt": "…", "response": "?"}] * 3)
    with pytest.raises(InputError, match="None of the 3 candidates holds a word"):
        select_files(dots, queries, budget=1, store=Store(tmp_path / "cache"), **options)


def test_a_table_of_somebody_elses_is_not_replaced(folder: Path, result: Selection, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("prompt,response\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"The table would replace .*mine\.csv"):
        save(result, tmp_path / "mine.jsonl")
    save(result, tmp_path / "other.jsonl")
    save(result, tmp_path / "other.jsonl")  # its own files may be replaced


def test_every_warning_has_its_cause(result: Selection) -> None:
    def about(word: str, changed: Selection) -> bool:
        return any(word in sentence for sentence in warnings(changed))

    assert not about("Few queries", result)
    assert about("Few queries: 3.", replace(result, queries=result.queries[:3]))
    assert about("so the last 8 got no turn", result)  # 12 queries, 4 picks
    assert not about("got no turn", replace(result, queries=result.queries[:4]))
    assert not about("got no turn", replace(result, settings=result.settings | {"selector": "uot"}))
    assert about("teaching instrument", replace(result, settings=result.settings | {"model": "tiny"}))
    silent = [replace(result.queries[0], label=" "), *result.queries[1:]]
    assert about("Without an answer: 1 of the queries", replace(result, queries=silent))
    assert about("Could not be represented: 2 examples", replace(result, lost=2))
    assert about("Without a direction: 1 of the queries (for instance q7)", replace(result, mute=["q7"]))
    assert not about("in its order", result)
    assert about("first 4 of the pool, in its order", replace(result, picks=np.arange(4)))
    assert about("farther from the queries", replace(result, distance=2.0))
    twice = [*result.pool[:-1], replace(result.pool[0], id="again")]
    assert about("Repeated word for word: 1 example of the pool", replace(result, pool=twice))
    asked = replace(result.queries[0], prompt=chat_prompt("How do I whip cream?"), label="")
    assert about("contamination", replace(result, queries=[asked, *result.queries[1:]]))


def test_sources_add_up(result: Selection) -> None:
    many = [replace(e, source=f"s{i}") for i, e in enumerate(result.pool * 3)]
    rows = sources(many, many[:2], ["s1"])
    assert sum(row["pool"] for row in rows) == len(many)
    assert sum(row["subset"] for row in rows) == 2
    assert rows[-1]["name"] == f"{len(many) - 20} other sources"
    assert {row["name"] for row in rows} > {"s0", "s1 (no source given)"}
    assert words("A b, c!", signs=True) == ("a", "b", "c")


def test_the_table_says_for_which_query_round_robin_picked(result: Selection) -> None:
    assert result.S is not None
    rows = result.table()
    assert "picked_for" not in replace(result, settings={**result.settings, "selector": "uot"}).table()
    own = [q.id for q in result.queries]
    taken: list[int] = []
    for name in rows["picked_for"]:  # each query takes its most similar candidate that is left
        order = np.argsort(-result.S[own.index(name)], kind="stable")
        taken.append(next(j for j in order.tolist() if j not in taken))
    assert taken == result.picks.tolist()


# --- tasks, tokens, windows, several files -----------------------------------------------------------


def two_tasks(place: Path) -> Path:
    tasks = [("sums", f"Add {i} and {i + 2}.") for i in range(9)] + [("cooking", "How do I fry an egg?")]
    return lines(place / "tasks.jsonl", [{"prompt": text, "label": "So.", "task": name} for name, text in tasks])


def test_tasks_are_pooled_or_have_equal_shares_and_the_report_says_which(folder: Path, tmp_path: Path, caplog) -> None:
    options = {"representation": "lexical", "selector": "doubly_greedy", "settings": load_profile("smoke")}
    options |= {"store": Store(tmp_path / "cache"), "budget": "50%"}
    pooled = select_files(folder / "pool.jsonl", two_tasks(tmp_path), **options)
    balanced = select_files(folder / "pool.jsonl", tmp_path / "tasks.jsonl", balance=True, **options)
    assert balanced.S is not None
    own = {
        name: select("doubly_greedy", balanced.S[rows], 6).tolist()
        for name, rows in (("sums", slice(0, 9)), ("cooking", slice(9, 10)))
    }
    taken: list[int] = []
    for k in range(6):
        taken.append(next(j for j in own["cooking" if k % 2 else "sums"] if j not in taken))
    assert balanced.picks.tolist() == taken
    assert set(taken) != set(pooled.picks.tolist())
    assert "sums (9 queries), cooking (1 queries); pooled" in caplog.text
    assert "sums (9 queries), cooking (1 queries); pooled" in str(pooled.settings["tasks"])
    assert "equal share" in str(balanced.settings["tasks"])
    with pytest.raises(InputError, match="insta does not pick by queries"):
        select_files(
            folder / "pool.jsonl", tmp_path / "tasks.jsonl", balance=True, **(options | {"selector": "insta@1"})
        )


def test_a_budget_in_tokens(folder: Path, tmp_path: Path) -> None:
    options = {"representation": "lexical", "selector": "round_robin", "settings": load_profile("smoke")}
    options |= {"store": Store(tmp_path / "cache")}
    files = folder / "pool.jsonl", folder / "queries.jsonl"
    chosen = select_files(*files, tokens=120, **options)
    assert chosen.picks.tolist() == select_files(*files, budget=len(chosen.picks), **options).picks.tolist()
    assert "tokens of at most 120, whole chats as tiny counts them" in str(chosen.settings["budget"])
    for wrong in ({}, {"tokens": 9, "budget": 3}):
        with pytest.raises(InputError, match="Give either a budget"):
            select_files(*files, **options, **wrong)


def test_answers_that_are_cut_away_are_counted(folder: Path, tmp_path: Path, caplog) -> None:
    long = "peg and nut and bolt " * 200
    pool = lines(
        tmp_path / "pool.jsonl",
        [
            {"prompt": long, "response": "Gone."},
            {"prompt": "List them.", "response": long},
            {"prompt": "Say no.", "response": "No."},
            {"prompt": long * 30, "response": "Gone too."},
        ],
    )
    options = {"selector": "round_robin", "budget": 2, "store": Store(tmp_path / "cache")}
    chosen = select_files(
        pool, folder / "queries.jsonl", representation="embed", settings=load_profile("smoke"), **options
    )
    assert (chosen.cut, chosen.settings["longest text"]) == ((1, 2), "256 tokens")
    assert "3 examples of the pool longer than" in caplog.text
    assert any("1 in part and 2 not at all" in sentence for sentence in warnings(chosen))
    words_ = select_files(
        pool, folder / "queries.jsonl", representation="lexical", settings=load_profile("smoke"), **options
    )
    assert words_.cut == (0, 0)
    assert "whole" in str(words_.settings["longest text"])


def test_facts_say_which_features_were_used(folder: Path, tmp_path: Path) -> None:
    options = {"representation": "lexical", "budget": 2, "settings": load_profile("smoke")}
    options |= {"store": Store(tmp_path / "cache")}
    chance = select_files(folder / "pool.jsonl", folder / "queries.jsonl", selector="random", **options).settings
    assert chance["representation"] == "none: no text is looked at"
    assert (chance["model"], chance["compared with the queries by"]) == ("none", "lexical")


def test_several_pools_and_remarks_in_the_report(folder: Path, tmp_path: Path) -> None:
    more = lines(
        tmp_path / "pool.jsonl", [{"prompt": "Add 2 and 2.", "response": "4", "id": "=SUM(1)", "image": "x.png"}]
    )
    chosen = select_files(
        [folder / "pool.jsonl", more],
        folder / "queries.jsonl",
        representation="lexical",
        selector="round_robin",
        budget=13,
        settings=load_profile("smoke"),
        store=Store(tmp_path / "cache"),
    )
    paths = save(chosen, tmp_path / "out.jsonl")
    assert more.read_bytes() in paths["subset"].read_bytes()
    page = paths["report"].read_text(encoding="utf-8")
    assert "&#39;image&#39; (1 line)" in page
    assert f"{more}</td>" in page
    assert "'=SUM(1)" in paths["table"].read_text(encoding="utf-8")
    assert chosen.table().loc[lambda rows: rows["id"] == "=SUM(1)", ["file", "line", "place"]].values.tolist() == [
        [str(more), 1, 13]
    ]
    with pytest.raises(InputError, match=r"name .*twice"):
        select_files(
            [more, more], None, representation="embed", selector="random", budget=1, settings=load_profile("smoke")
        )


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name, record in (("pool", {"prompt": "p", "response": "r"}), ("task", {"prompt": "p", "label": "r"})):
        (tmp_path / name).mkdir()
        lines(tmp_path / name / "train.jsonl", [record, record | {"prompt": "q"}])
    pool, task = tmp_path / "pool/train.jsonl", tmp_path / "task/train.jsonl"
    chosen = select_files(
        pool, task, representation="lexical", selector="round_robin", budget=1, settings=load_profile("smoke")
    )
    assert facts(chosen)["formats"] == {str(pool): [("prompt and response", 2)], str(task): [("prompt and label", 2)]}
    assert (chosen.settings["pool"], chosen.pool[0].id) == (str(pool), f"{pool}:1")


def test_units_of_scripts_without_spaces() -> None:
    assert units("東京タワーは, 333 m") == (*"東京タワーは", "333", "m")
    assert units("ไทย abc") == (*"ไทย", "abc")
    text = "東京で一番高い建物の名前を教えてください"
    pool = [
        example("はい", prompt=f"質問です。{text}お願いします", name="a"),
        example("いいえ", prompt="こんにちは", name="b"),
    ]
    assert contaminated(pool, [query("スカイツリー", prompt=text, name="q")]) == {0: 0}


def test_examples_that_differ_in_an_image_are_not_repeated() -> None:
    pool = [replace(example("A cat.", name=name), meta={"image": name}) for name in "ab"]
    assert duplicates(pool) == []
    assert duplicates([replace(e, meta={"stars": e.id}) for e in pool]) == [[0, 1]]
    turn = pool[0].messages[1]
    assert duplicates([pool[0], replace(pool[0], messages=[pool[0].messages[0], {**turn, "loss": False}])]) == []
