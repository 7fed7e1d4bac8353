"""Pre-training: optimizer, batches, loss, tokenizer against brute force; the run; the shipped folder."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recipe import Settings, pretrain, train, train_tokenizer
from recipe.__main__ import main
from recipe.card import model_card
from recipe.checks import answer_scores, check_skills
from recipe.loop import batches, optimizers, rate, weighted_loss
from recipe.muon import Muon, orthogonalise
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from tis_utils.errors import InputError
from tis_utils.examples.classroom import SKILLS, pretraining_corpus
from tis_utils.examples.text import IGNORE, Encoded, encode_example

MINI = Settings(n_skills=60, n_mixture=60, vocabulary=300, hidden=16, layers=1, heads=2, feed_forward=24, threads=1)


@pytest.fixture(scope="module")
def mini_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["Reverse the order of the words: lamp 12 345", "lamp lamp"] * 50, 300)


@pytest.fixture
def mini_model(mini_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(MINI.config(mini_tokenizer))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "mini"
    pretrain(folder, MINI)
    return folder


class TestMuon:
    @given(shape=st.sampled_from([(4, 4), (3, 7), (7, 3)]), seed=st.integers(0, 1000))
    def test_orthogonalise_keeps_directions_and_evens_out_sizes(self, shape: tuple[int, int], seed: int) -> None:
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
        moved = left.T @ orthogonalise(matrix[None])[0] @ right.T  # diagonal iff the directions are kept
        off = moved - torch.diag(moved.diag())
        assert off.abs().max() < 1e-3
        clear = sizes > 0.02 * sizes.norm()  # five rounds cannot lift what is next to nothing
        assert bool((moved.diag()[clear] > 0.3).all())
        assert bool((moved.diag() < 1.3).all())

    def test_steps_equal_the_update_written_out_for_one_matrix(self) -> None:
        start, gradients = torch.randn(6, 3), [torch.randn(6, 3), torch.randn(6, 3)]
        parameter = torch.nn.Parameter(start.clone())
        optimizer = Muon([parameter], lr=0.1, momentum=0.9)
        expected, average = start.clone(), torch.zeros(6, 3)
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
            average = 0.9 * average + 0.1 * gradient
            nesterov = 0.1 * gradient + 0.9 * average
            expected -= 0.1 * (6 / 3) ** 0.5 * orthogonalise(nesterov[None])[0]
        torch.testing.assert_close(parameter.detach(), expected)

    def test_matrices_of_a_shape_do_not_mix(self) -> None:
        starts, gradients = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
        together = [torch.nn.Parameter(s.clone()) for s in starts]
        alone = [torch.nn.Parameter(s.clone()) for s in starts]
        for parameter, twin, gradient in zip(together, alone, gradients, strict=True):
            parameter.grad, twin.grad = gradient.clone(), gradient.clone()
            Muon([twin]).step()
        Muon(together).step()
        torch.testing.assert_close(torch.stack(together), torch.stack(alone))

    def test_every_parameter_has_exactly_one_optimizer(self, mini_model: LlamaForCausalLM) -> None:
        muon, adam = optimizers(mini_model, MINI)
        matrices, others = (o.param_groups[0]["params"] for o in (muon, adam))
        held = [id(p) for p in [*matrices, *others]]
        assert sorted(held) == sorted(id(p) for p in mini_model.parameters())
        assert all(p.ndim == 2 for p in matrices)
        assert any(p is mini_model.get_input_embeddings().weight for p in others)


class TestSchedule:
    @given(progress=st.floats(0.001, 1), warm_up=st.floats(0, 0.5))
    def test_rate_rises_to_one_at_the_end_of_warm_up_and_falls_to_zero(self, progress: float, warm_up: float) -> None:
        up_then_down = np.interp(progress, [0, warm_up, 1], [0, 1, 0]) if warm_up else 1 - progress
        assert rate(progress, warm_up) == pytest.approx(up_then_down, abs=1e-9)


def encoded(lengths: list[int]) -> list[Encoded]:
    """Texts whose ids say which text they are; the last half of each is the answer."""
    texts = []
    for name, length in enumerate(lengths, start=10):
        ids = np.full(length, name, dtype=np.int64)
        texts.append(Encoded(ids, np.where(np.arange(length) >= length // 2, ids, IGNORE)))
    return texts


class TestBatches:
    @given(lengths=st.lists(st.integers(2, 9), min_size=1, max_size=40), size=st.integers(1, 7))
    def test_each_text_once_padded_on_the_right(self, lengths: list[int], size: int) -> None:
        seen = []
        for ids, labels in batches(encoded(lengths), size, 0, np.random.default_rng(0)):
            assert 1 <= len(ids) <= size
            for row, label in zip(ids.tolist(), labels.tolist(), strict=True):
                length = lengths[row[0] - 10]
                seen.append(row[0])
                assert row == [row[0]] * length + [0] * (len(row) - length)
                assert label[: length // 2] == [IGNORE] * (length // 2)
                assert label[length // 2 :] == row[length // 2 : length] + [IGNORE] * (len(row) - length)
        assert sorted(seen) == list(range(10, 10 + len(lengths)))

    def test_the_order_follows_the_generator(self) -> None:
        def first(seed: int) -> list[int]:
            return next(batches(encoded([3] * 60), 4, 0, np.random.default_rng(seed)))[0][:, 0].tolist()

        assert first(1) == first(1) != first(2)


class TestLoss:
    @pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
    def test_equals_a_loop_over_tokens(self, mini_model: LlamaForCausalLM, weight: float) -> None:
        (batch,) = batches(encoded([5, 9, 3]), 3, 1, np.random.default_rng(0))
        loss, answer_mean = weighted_loss(mini_model, batch, 1, weight)
        total = weights = 0.0
        answers = []
        for ids, labels in zip(*batch, strict=True):
            for t in range(1, len(ids)):
                if ids[t] == 1:  # padding
                    continue
                logits = mini_model(input_ids=ids[None, :t]).logits[0, -1]  # only what stands before t
                token = (torch.logsumexp(logits, 0) - logits[ids[t]]).item()
                w = 1.0 if labels[t] != IGNORE else weight
                total, weights = total + w * token, weights + w
                if labels[t] != IGNORE:
                    answers.append(token)
        assert loss.item() == pytest.approx(total / weights, rel=1e-4)
        assert answer_mean == pytest.approx(np.mean(answers), rel=1e-4)

    def test_training_lowers_it_and_logs_every_phase(
        self, mini_model: LlamaForCausalLM, mini_tokenizer: PreTrainedTokenizerFast
    ) -> None:
        examples = pretraining_corpus(40, filler_share=0.0)
        texts = [encode_example(example, mini_tokenizer, 256) for example in examples]
        log = train(mini_model, [texts] * 4, 1, replace(MINI, batch=8))
        assert list(log.columns) == ["step", "phase", "tokens", "loss", "answer_loss", "rate", "seconds"]
        assert log["step"].iloc[-1] == 4 * 5 - 1
        assert log["tokens"].iloc[-1] == 4 * sum(len(text.ids) for text in texts)
        assert log["loss"].iloc[-1] < 0.9 * log["loss"].iloc[0]
        assert not mini_model.training


class TestTokenizer:
    def test_digits_in_chunks_of_two_spaces_apart_markers_whole(self, mini_tokenizer: PreTrainedTokenizerFast) -> None:
        texts = ["12 12345", "<|user|>\nlamp", "lamp lamp"]
        pieces = [[mini_tokenizer.decode([i]) for i in mini_tokenizer(text)["input_ids"]] for text in texts]
        assert pieces[0][:2] == ["12", " "]
        assert all(len(piece) <= 2 for piece in pieces[0])
        assert pieces[1] == ["<|user|>", "\n", "lamp"]
        assert pieces[2] == ["lamp", " ", "lamp"]

    @given(text=st.text(max_size=40))
    def test_any_text_survives(self, mini_tokenizer: PreTrainedTokenizerFast, text: str) -> None:
        assert mini_tokenizer.decode(mini_tokenizer(text)["input_ids"]) == text

    def test_eos_and_pad_differ_and_the_bound_holds(self, mini_tokenizer: PreTrainedTokenizerFast) -> None:
        assert mini_tokenizer.is_fast
        assert mini_tokenizer.eos_token_id != mini_tokenizer.pad_token_id
        assert len(mini_tokenizer) <= 300


class TestChecks:
    def test_greedy_answers_match_and_others_do_not(
        self, mini_model: LlamaForCausalLM, mini_tokenizer: PreTrainedTokenizerFast
    ) -> None:
        texts, expected = [], []
        for prompt in ("lamp 12", "words"):
            row = start = mini_tokenizer(prompt)["input_ids"]
            for _ in range(3):  # greedy decoding, one token at a time
                row = [*row, int(mini_model(input_ids=torch.tensor([row])).logits[0, -1].argmax())]
            for ids in (np.array(row), np.array([*row[:-1], (row[-1] + 1) % 200])):
                texts.append(Encoded(ids, np.where(np.arange(len(ids)) >= len(start), ids, IGNORE)))
                logits = mini_model(input_ids=torch.tensor(ids)[None]).logits[0].log_softmax(-1)
                expected.append(-np.mean([logits[t - 1, ids[t]].item() for t in range(len(start), len(ids))]))
        losses, matches = answer_scores(mini_model, texts, 1)
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        assert matches.tolist() == [True, False, True, False]


class TestSettings:
    @pytest.mark.parametrize("change", [{"batch": 0}, {"hidden": -1}, {"seed": -1}, {"n_mixture": 0}])
    def test_bad_numbers(self, change: dict[str, int]) -> None:
        with pytest.raises(InputError, match=next(iter(change))):
            replace(MINI, **change)


class TestRelease:
    def test_plain_transformers_loads_it(self, released: Path) -> None:
        model = AutoModelForCausalLM.from_pretrained(released)
        tokenizer = AutoTokenizer.from_pretrained(released)
        assert model.config.vocab_size == len(tokenizer) <= 300
        assert model.config.tie_word_embeddings
        assert tokenizer.decode(tokenizer("lamp 12")["input_ids"]) == "lamp 12"

    def test_manifest_says_what_is_there(self, released: Path) -> None:
        manifest = json.loads((released / "manifest.json").read_text())
        weights = (released / "model.safetensors").read_bytes()
        log = pd.read_csv(released / "training_log.csv")
        assert manifest["weights_sha256"] == hashlib.sha256(weights).hexdigest()
        assert manifest["settings"]["n_skills"] == 60
        assert manifest["tokens"] == log["tokens"].iloc[-1] > 1000
        assert set(log["phase"]) == {0, 1}
        assert len(manifest["checks"]) == sum(3 * len(skill.functions) for skill in SKILLS.values())
        assert f"{manifest['parameters']:,} parameters" in (released / "README.md").read_text()

    def test_same_seed_same_model_and_a_second_run_replaces_the_first(self, released: Path, tmp_path: Path) -> None:
        first = json.loads((released / "manifest.json").read_text())
        again = pretrain(released, MINI)
        other = pretrain(tmp_path / "other", replace(MINI, seed=1))
        assert (again["weights_sha256"], again["corpus_sha256"]) == (first["weights_sha256"], first["corpus_sha256"])
        assert other["weights_sha256"] != first["weights_sha256"]
        assert other["corpus_sha256"] != first["corpus_sha256"]
        assert [p.name for p in released.parent.iterdir()] == [released.name]  # nothing half-written is left

    def test_a_folder_of_strangers_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "thesis.txt").write_text("dear to someone")
        monkeypatch.setattr(sys, "argv", ["pretraining", "--out", str(tmp_path)])
        assert main() == 2
        assert "Name a new or empty folder" in capsys.readouterr().err
        assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]

    @pytest.mark.slow
    def test_it_runs_as_a_module(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "recipe", "--out", str(tmp_path / "m")]
        done = subprocess.run(
            [*command, "--n-skills", "48", "--n-mixture", "48", "--threads", "1"],
            env=os.environ | {"PYTHONPATH": str(MODELS)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "tokens in" in done.stdout
        assert "pre-training" in done.stderr  # the progress bar
        assert (tmp_path / "m" / "model.safetensors").is_file()


MODELS = Path(__file__).parents[2] / "data" / "models"
SMALLER = {"hidden": 64, "layers": 2, "feed_forward": 168, "threads": 1}  # what `make mini-model` sets


@pytest.fixture(scope="class", params=["tiny", "mini"])
def shipped(request: pytest.FixtureRequest) -> Path:
    return MODELS / request.param


class TestShipped:
    @pytest.fixture(scope="class")
    def manifest(self, shipped: Path) -> dict:
        return json.loads((shipped / "manifest.json").read_text())

    def test_weights_card_and_log_are_of_one_run(self, shipped: Path, manifest: dict) -> None:
        weights = (shipped / "model.safetensors").read_bytes()
        assert manifest["weights_sha256"] == hashlib.sha256(weights).hexdigest()
        assert len(weights) <= 8_000_000
        assert (shipped / "README.md").read_text(encoding="utf-8") == model_card(manifest, shipped.name)
        assert pd.read_csv(shipped / "training_log.csv")["tokens"].iloc[-1] == manifest["tokens"]
        wanted = Settings() if shipped.name == "tiny" else Settings(**SMALLER)
        assert manifest["settings"] == vars(wanted)  # what the command makes is what is shipped

    def test_items_are_single_tokens(self, shipped: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(shipped)
        assert len(tokenizer) <= 1280
        text = "lamp 12 Anna 99"
        assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])[::2] == text.split()
        assert tokenizer("<|assistant|>")["input_ids"] == [tokenizer.convert_tokens_to_ids("<|assistant|>")]

    def test_it_does_what_its_card_says(self, shipped: Path, manifest: dict) -> None:
        model = AutoModelForCausalLM.from_pretrained(shipped).eval()
        found = check_skills(model, AutoTokenizer.from_pretrained(shipped), Settings())
        said = pd.DataFrame(manifest["checks"])
        np.testing.assert_allclose(found["loss"], said["loss"], atol=0.02)  # other CPUs round otherwise
        np.testing.assert_allclose(found["exact_match"], said["exact_match"], atol=0.041)
