"""What a record says is read, refused or counted: layouts as trainers, servers and data sets write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests_support import byte_tokenizer
from tis_utils.errors import InputError
from tis_utils.examples.columns import Columns
from tis_utils.examples.fields import Skip
from tis_utils.examples.formats import Read, format_of, read_example, read_query
from tis_utils.examples.text import IGNORE, chat_text, encode_example

Q, A = {"role": "user", "content": "Tide at Brest?"}, {"role": "assistant", "content": "5.2 m."}
CALL = {"id": "1", "type": "function", "function": {"name": "tide", "arguments": '{"port": "Brest"}'}}
CALL_TEXT = '<tool_call>\n{"name": "tide", "arguments": {"port": "Brest"}}\n</tool_call>'


def read(record: Mapping[str, Any]) -> Read:
    return read_example(record, where="pool, line 1", name="pool", default_id="pool:1")


def turns(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in read(record).item.messages]


PLAIN = [("user", "Tide at Brest?"), ("assistant", "5.2 m.")]
LAYOUTS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "ShareGPT": ({"conversations": [{"from": "human", "value": "Tide at Brest?"}, {"from": "gpt", "value": "5.2 m."}]},
                 PLAIN),
    "ShareGPT with a call": (
        {"conversations": [{"from": "human", "value": "u"}, {"from": "function_call", "value": "f()"},
                           {"from": "observation", "value": "o"}, {"from": "gpt", "value": "a"}]},
        [("user", "u"), ("assistant", "<tool_call>\nf()\n</tool_call>"), ("tool", "o"), ("assistant", "a")]),
    "messages with from and value": ({"messages": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]},
                                     [("user", "u"), ("assistant", "a")]),
    "parts": ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Tide "}, {"text": "at Brest?"}]},
                            {"role": "assistant", "content": [{"type": "output_text", "text": "5.2 m."}]}]}, PLAIN),
    "prompt and completion are chats": ({"prompt": [{"role": "developer", "content": "s"}, Q], "completion": [A]},
                                        [("system", "s"), *PLAIN]),
    "a chat and a text": ({"prompt": [Q], "response": "5.2 m."}, PLAIN),
    "plain text": ({"text": "Once."}, [("assistant", "Once.")]),
    "preference": ({"prompt": "Tide at Brest?", "chosen": "5.2 m.", "rejected": "no"}, PLAIN),
    "preference with the whole chat": ({"prompt": "Tide at Brest?", "chosen": [Q, A], "rejected": [Q, Q]}, PLAIN),
    "preference without a prompt": ({"chosen": [Q, A], "rejected": [Q]}, PLAIN),
    "a transcript": ({"chosen": "\n\nHuman: Tide at Brest?\n\nAssistant: 5.2 m."}, PLAIN),
    "alpaca preference": ({"instruction": "Tide", "input": "Brest", "chosen": "5.2 m."},
                          [("user", "Tide\n\nBrest"), ("assistant", "5.2 m.")]),
    "wanted answer": ({"prompt": "Tide at Brest?", "completion": "5.2 m.", "label": True}, PLAIN),
    "history": ({"instruction": "And here?", "output": "b", "history": [["Tide at Brest?", "5.2 m."]], "system": "s"},
                [("system", "s"), *PLAIN, ("user", "And here?"), ("assistant", "b")]),
    "history of messages": ({"prompt": "And?", "response": "b", "history": [Q, A]},
                            [*PLAIN, ("user", "And?"), ("assistant", "b")]),
    "system beside messages": ({"messages": [Q, A], "system": "s"}, [("system", "s"), *PLAIN]),
    "names of both kinds": ({"messages": [{"role": "User", "value": "u"}, {"role": "ASSISTANT", "content": "a"}]},
                            [("user", "u"), ("assistant", "a")]),
    "a list for each key": ({"conversations": {"from": ["human", "gpt"], "value": ["u", "a"]}},
                            [("user", "u"), ("assistant", "a")]),
    "a chosen answer beside the request": (
        {"conversations": [{"from": "human", "value": "u"}], "chosen": {"from": "gpt", "value": "a"}},
        [("user", "u"), ("assistant", "a")]),
    "a chosen text beside the request": ({"messages": [Q], "chosen": "5.2 m.", "rejected": "no"}, PLAIN),
    "an answer that is one message": ({"prompt": [Q], "completion": A}, PLAIN),
    "messages as JSON text": ({"messages": '[{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]'},
                              [("user", "u"), ("assistant", "a")]),
    "calls of tools": (
        {"messages": [Q, {"role": "assistant", "content": None, "tool_calls": [CALL]},
                      {"role": "tool", "tool_call_id": "1", "content": "5.2"}, A]},
        [PLAIN[0], ("assistant", CALL_TEXT), ("tool", "5.2"), PLAIN[1]]),
    "a call after words": ({"messages": [Q, {**A, "tool_calls": [CALL]}]},
                           [PLAIN[0], ("assistant", f"5.2 m.\n{CALL_TEXT}")]),
    "the old call": ({"messages": [Q, {"role": "assistant", "content": None, "function_call": CALL["function"]},
                                   {"role": "function", "content": "5.2"}]},
                     [PLAIN[0], ("assistant", CALL_TEXT), ("tool", "5.2")]),
    "a call as a part": ({"messages": [Q, {"role": "assistant", "content": [
                             {"type": "tool_use", "id": "1", "name": "tide", "input": {"port": "Brest"}}]}]},
                         [PLAIN[0], ("assistant", CALL_TEXT)]),
    "a result as a part": ({"messages": [Q, A, {"role": "user", "content": [
                               {"type": "tool_result", "content": [{"type": "text", "text": "5.2"}]}]}, A]},
                           [*PLAIN, ("user", "5.2"), PLAIN[1]]),
    "reasoning": ({"messages": [Q, {**A, "reasoning_content": "Look it up."}]},
                  [PLAIN[0], ("assistant", "<think>\nLook it up.\n</think>\n\n5.2 m.")]),
    "thinking as a part": ({"messages": [Q, {"role": "assistant", "content": [
                               {"type": "thinking", "thinking": "Look it up."}, {"type": "text", "text": "5.2 m."}]}]},
                           [PLAIN[0], ("assistant", "<think>\nLook it up.\n</think>\n\n5.2 m.")]),
    "reasoning beside an answer": ({"prompt": "Tide at Brest?", "response": "5.2 m.", "reasoning": "Hm."},
                                   [PLAIN[0], ("assistant", "<think>\nHm.\n</think>\n\n5.2 m.")]),
    "columns of three formats": (
        {"messages": None, "prompt": float("nan"), "response": None, "instruction": "i", "input": pd.NA, "output": "o"},
        [("user", "i"), ("assistant", "o")]),
    "arrays as pandas reads them": ({"messages": np.array([Q, A], dtype=object), "n": np.float64("nan")}, PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str) -> None:
    record, wanted = LAYOUTS[name]
    assert turns(record) == wanted
    assert read(record).unread <= {"'rejected'", "'prompt'"}


def test_layouts_of_queries() -> None:
    for name, (record, wanted) in LAYOUTS.items():
        if wanted[-1][0] == "assistant":
            query = read_query(record, where="task, line 1", name="task", default_id="q").item
            assert query.label == wanted[-1][1], name
            assert all(text in query.prompt for _, text in wanted[:-1]), name
    chat = read_query({"prompt": [Q], "label": "5.2 m."}, where="", name="task", default_id="q").item
    assert (chat.prompt, chat.label) == ("<|user|>\nTide at Brest?\n<|assistant|>\n", "5.2 m.")


def test_what_is_not_read_is_named_and_kept() -> None:
    image = {"type": "image_url", "image_url": {"url": "x"}}
    record = {
        "messages": [{"role": "user", "name": "Ada", "content": [image, {"type": "text", "text": "u"}]},
                     {"role": "assistant", "content": "a", "refusal": None}],
        "tools": [{"name": "tide"}], "stars": 5, "input": "more", "output": None, "meta": {"x": 1},
    }  # fmt: skip
    got = read(record)
    assert got.unread == {"'tools'", "'stars'", "'input'", "parts of type 'image_url'", "'name' of messages"}
    assert got.item.meta["stars"] == 5
    assert image in got.item.meta["parts"]
    assert got.item.meta["x"] == 1


@pytest.mark.parametrize("flag", ["weight", "train", "loss", "trainable", "loss_mask", "train_on_turn"])
def test_turns_that_are_not_learnt_carry_no_loss(flag: str) -> None:
    messages = [Q, {**A, "content": "wrong", flag: 0}, Q, {**A, flag: 1}]
    example = read({"messages": messages}).item
    tokenizer = byte_tokenizer()
    encoded = encode_example(example, tokenizer, 999)
    assert tokenizer.decode(encoded.ids[encoded.labels != IGNORE]) == "5.2 m.<eos>"
    assert "wrong" in chat_text(example)
    assert read({"messages": [{**Q, flag: True}, A]}).unread == {"loss on turns of the user"}


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "p", "completion": "c", "label": False},
        {"prompt": "p", "completion": "c", "label": "False"},
        {"messages": [Q, A], "kto_tag": False},
        {"messages": [Q, {**A, "train": False}]},
    ],
)
def test_what_is_no_example_to_learn_from_is_skipped(record: dict[str, Any]) -> None:
    with pytest.raises(Skip):
        read(record)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": 1, "messages": None}, r"keys are id \(nothing, that is null, in messages\)"),
        ({"messages": [Q, {"role": "model", "parts": ["a"]}]}, r"message 1: no content .* Its keys are role, parts"),
        ({"messages": [{**Q, "content": None}, A]}, r"message 0: no content .*null, in content\).*Give it a text"),
        ({"messages": "[{'role': 'user'}]"}, r"no JSON list .*json\.dumps"),
        ({"conversations": {"from": ["human"], "value": []}}, r"equally long"),
        ({"chosen": "5.2 m."}, r"needs its 'prompt'"),
        ({"instruction": "p", "output": {"a": 1}}, r"'output' must be a string, got dict"),
        ({"prompt": "p", "response": 5}, r"'response' must be a string, got int\. Write it as a text"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(record)


def test_an_answer_that_is_not_to_be_learnt_is_no_wanted_one() -> None:
    with pytest.raises(Skip):
        read_query({"messages": [Q, {**A, "weight": 0}]}, where="", name="task", default_id="q")


@pytest.mark.parametrize("name", [None, "", np.nan, np.float32("nan"), pd.NA])
def test_an_id_that_holds_nothing_is_made(name: Any) -> None:
    assert read({"text": "a", "id": name}).item.id == "pool:1"


def test_columns_of_other_names() -> None:
    columns = Columns("prompt=question, response=answer")
    record = columns.rename({"question": "q", "answer": "a", "prompt": "old", "id": 3})
    assert turns(record) == [("user", "q"), ("assistant", "a")]
    assert read(record).unread == {"'prompt (replaced)'"}
    columns.check()
    assert format_of(Columns().rename({"question": "q"})) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt", "expected ours=yours pairs"),
        ("prompt=a,prompt=b", "twice"),
        ("promt=question", "Unknown key in --columns 'promt'; known: .*prompt"),
        ("nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_columns_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Columns(text)


def test_columns_from_a_file_and_names_that_no_line_has(tmp_path) -> None:
    (tmp_path / "names.yaml").write_text("prompt: question\nresponse: reply\n", encoding="utf-8")
    columns = Columns(str(tmp_path / "names.yaml"))
    columns.rename({"question": "q", "answer": "a"})
    with pytest.raises(InputError, match=r"no line has the key 'reply'\. Keys of the first line: question, answer"):
        columns.check()
