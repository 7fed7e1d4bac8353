from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from tests_support import byte_tokenizer
from tis_utils.errors import InputError
from tis_utils.models.adapters import ADAPTER, ADAPTER_WEIGHTS
from tis_utils.models.load import load_model, load_tokenizer

IDS = torch.tensor([[5, 9, 33]])


@pytest.fixture
def tuned(tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """An adapter beside its base model, and the logits of both together."""
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(byte_tokenizer()), **shape, eos_token_id=256))
    model.save_pretrained(tmp_path / "base")
    byte_tokenizer().save_pretrained(tmp_path / "base")
    model.name_or_path = str(tmp_path / "base")
    lora = get_peft_model(model, LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", init_lora_weights=False)).eval()
    lora.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", lora(IDS).logits.detach()


def edit(folder: Path, **changes: object) -> None:
    path = folder / ADAPTER
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_adapter_is_merged_into_the_model_that_it_names(tuned: tuple[Path, torch.Tensor]) -> None:
    folder, expected = tuned
    lm, base = load_model(folder, device="cpu"), load_model(folder.parent / "base", device="cpu")
    torch.testing.assert_close(lm.model(IDS).logits, expected)
    assert not torch.allclose(base.model(IDS).logits, expected)
    assert isinstance(lm.model, LlamaForCausalLM)  # a plain model, on which LESS can put factors of its own
    assert lm.tokenizer.get_vocab() == load_tokenizer(folder).get_vocab() == base.tokenizer.get_vocab()


def test_an_adapter_beside_its_whole_model_is_merged_too(tuned: tuple[Path, torch.Tensor]) -> None:
    folder, expected = tuned
    shutil.copytree(folder.parent / "base", folder, dirs_exist_ok=True)
    edit(folder, base_model_name_or_path="someone/base-model")  # not asked for
    torch.testing.assert_close(load_model(folder, device="cpu").model(IDS).logits, expected)


def test_the_fingerprint_follows_adapter_scale_and_base(tuned: tuple[Path, torch.Tensor]) -> None:
    folder, _ = tuned
    marks = {load_model(folder, device="cpu").fingerprint, load_model(folder.parent / "base", device="cpu").fingerprint}
    edit(folder, lora_alpha=9)
    marks.add(load_model(folder, device="cpu").fingerprint)
    assert len(marks) == 3


def test_a_base_beside_the_adapter_is_found(
    tuned: tuple[Path, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, expected = tuned
    edit(folder, base_model_name_or_path="../base")
    monkeypatch.chdir(tmp_path.parent)
    torch.testing.assert_close(load_model(folder, device="cpu").model(IDS).logits, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_model_name_or_path": None}, "adapter without its base model"),
        ({"base_model_name_or_path": "/nowhere/base"}, "no folder '/nowhere/base'"),
        ({"peft_type": "PREFIX_TUNING"}, "only LoRA adapters"),
    ],
)
def test_what_cannot_be_merged_is_said(tuned: tuple[Path, torch.Tensor], changes: dict, message: str) -> None:
    edit(tuned[0], **changes)
    with pytest.raises(InputError, match=message):
        load_model(tuned[0], device="cpu")


def test_factors_that_the_file_lacks_are_not_made_up(tuned: tuple[Path, torch.Tensor]) -> None:
    folder, _ = tuned
    weights = load_file(folder / ADAPTER_WEIGHTS)
    save_file({k: t for k, t in weights.items() if "v_proj" not in k}, folder / ADAPTER_WEIGHTS)
    with pytest.raises(InputError, match=r"lacks factors.*v_proj"):
        load_model(folder, device="cpu")


def test_pickled_factors_are_refused(tuned: tuple[Path, torch.Tensor]) -> None:
    (tuned[0] / ADAPTER_WEIGHTS).rename(tuned[0] / "adapter_model.bin")
    with pytest.raises(InputError, match="pickle"):
        load_model(tuned[0], device="cpu")
