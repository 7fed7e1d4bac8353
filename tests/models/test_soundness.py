"""Models that loading libraries take without a word and that mean nothing, or that end in an error of theirs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from tests_support import byte_tokenizer, example, query
from tis_utils.errors import InputError, RunError
from tis_utils.models.load import load_model
from tis_utils.models.soundness import check_ids
from tis_utils.representations import LESS, RDS

V = len(byte_tokenizer())
ENDS = {"bos_token_id": None, "eos_token_id": 256, "pad_token_id": 257}
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, **ENDS}


def llama(**more: object) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(vocab_size=V, **SIZES, **more))


def saved(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast | None = None) -> Path:
    model.save_pretrained(folder)
    (tokenizer or byte_tokenizer()).save_pretrained(folder)
    return folder


def without(folder: Path, *parts: str) -> Path:
    file = folder / "model.safetensors"
    weights = load_file(file)
    kept = {name: t for name, t in weights.items() if not any(part in name for part in parts)}
    assert len(kept) < len(weights)
    save_file(kept, file, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("part", ["lm_head", "layers.1.self_attn.q_proj", "norm"])
def test_weights_that_the_file_lacks_are_named_not_made_up(tmp_path: Path, part: str) -> None:
    with pytest.raises(InputError, match=rf"lacks weights.*{part}.*save_pretrained"):
        load_model(without(saved(tmp_path / "m", llama()), part), device="cpu")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", llama())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 30}))
    with pytest.raises((InputError, RunError), match=r"lacks weights|could not be read"):
        load_model(folder, device="cpu")


def test_a_tied_head_is_not_missing(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", llama(tie_word_embeddings=True))
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert load_model(folder, device="cpu").longest(9) == 9


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM])
def test_an_encoder_is_no_language_model(tmp_path: Path, kind: type[PreTrainedModel]) -> None:
    """One lacks the head; the other has one, and looks at the tokens that follow."""
    torch.manual_seed(0)
    sizes = {k: SIZES[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")}
    folder = saved(tmp_path / "m", kind(BertConfig(vocab_size=V, **sizes)))
    with pytest.raises(InputError, match=r"encoder.*embed"):
        load_model(folder, device="cpu")


def test_an_encoder_decoder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    config = T5Config(vocab_size=V, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
    with pytest.raises(InputError, match=r"encoder-decoder.*'t5'.*causal") as caught:
        load_model(saved(tmp_path / "m", T5ForConditionalGeneration(config)), device="cpu")
    assert len(str(caught.value)) < 600


def test_a_package_that_quantised_weights_need_is_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", llama())
    config = json.loads((folder / "config.json").read_text())
    quantised = {"quant_method": "bitsandbytes", "load_in_4bit": True, "_load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantised}))
    with pytest.raises(InputError, match=r"bitsandbytes.*not quantised"):
        load_model(folder, device="cpu")


def test_a_folder_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path / "m")
    with pytest.raises(InputError, match="no tokenizer"):
        load_model(tmp_path / "m", device="cpu")


def gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=V, n_positions=48, n_embd=16, n_layer=1, n_head=2, **ENDS))


def opt() -> PreTrainedModel:
    shape = {"hidden_size": 16, "word_embed_proj_dim": 8, "ffn_dim": 24, "num_hidden_layers": 1}
    config = OPTConfig(vocab_size=V, num_attention_heads=2, do_layer_norm_before=False, **shape, **ENDS)
    return OPTForCausalLM(config)


def gemma() -> PreTrainedModel:
    text = {**SIZES, "vocab_size": V, "num_key_value_heads": 1, "head_dim": 8}
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"boi_token_index": V - 3, "eoi_token_index": V - 2, "image_token_index": V - 1}
    sizes = vision | {"image_size": 28, "patch_size": 14}
    return Gemma3ForConditionalGeneration(
        Gemma3Config(text_config=text, vision_config=sizes, mm_tokens_per_image=4, **tokens)
    )


@pytest.mark.parametrize(("build", "width"), [(gpt2, 16), (opt, 8), (gemma, 16), (llama, 16)])
def test_ordinary_models_have_rds_features(tmp_path: Path, build, width: int) -> None:
    """Fewer positions than tokens, states of another width than the hidden size, a configuration in a configuration."""
    torch.manual_seed(0)
    rds = RDS(load_model(saved(tmp_path / "m", build()), device="cpu"), show_progress=False)
    rows = rds.candidates([example("short"), example("long " * 40)])
    assert rows.shape == (2, width)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rds.queries([query("yes")]).shape == (1, width)


def test_a_text_is_cut_to_the_positions_of_the_model(tmp_path: Path) -> None:
    lm = load_model(saved(tmp_path / "m", gpt2()), device="cpu")
    assert [len(text.ids) for text in lm.encode([example("long " * 40), query("a")], 2048)] == [48, 26 + len("say it")]
    less = LESS(lm, rank=2, epochs=1, warmup_fraction=1, dim=32, show_progress=False)
    assert less.candidates([example("a", prompt=""), example("b" * 99, prompt="")]).shape == (2, 32)


def test_a_tokenizer_without_an_end_of_text_is_used_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer().backend_tokenizer)
    with caplog.at_level(logging.WARNING):
        lm = load_model(saved(tmp_path / "m", llama(), plain), device="cpu")
    assert "no end-of-text" in caplog.text
    prompt, answer = lm.encode([query("yes")], 99)[0].ids, plain("yes")["input_ids"]
    assert prompt[-3:].tolist() == answer


def test_tokens_beyond_the_embeddings_are_refused_but_not_as_padding(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[NEW]"})
    tokenizer.add_tokens(["zebra"])
    lm = load_model(saved(tmp_path / "m", llama(), tokenizer), device="cpu")
    assert tokenizer.pad_token_id >= V > lm.pad_id
    rds = RDS(lm, show_progress=False)
    assert rds.candidates([example("a"), example("longer")]).any(axis=1).all()
    for call in (rds.candidates, lambda items: lm.encode(items, 99)):
        with pytest.raises(InputError, match=r"tokenizer of .* makes the token 259.*resize_token_embeddings"):
            call([example("a zebra")])
    check_ids("none", [], 1)


def test_what_has_no_finite_state_comes_last_and_a_query_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lm = load_model(saved(tmp_path / "m", llama()), device="cpu")
    with torch.no_grad():
        lm.model.get_input_embeddings().weight[lm.tokenizer("%")["input_ids"][0]] = float("nan")
    rds = RDS(lm, show_progress=False)
    with caplog.at_level(logging.WARNING):
        rows = rds.candidates([example("5"), example("5 %", name="percent")])
    assert rows.any(axis=1).tolist() == [True, False]
    assert "1 of 2 candidates" in caplog.text
    assert "percent" in caplog.text
    with pytest.raises(InputError, match=r"1 of 1 queries"):
        rds.queries([query("5 %")])
