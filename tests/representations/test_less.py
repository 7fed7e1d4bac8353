from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Encoded, Example, Query, encode_all
from tis_utils.models.load import LanguageModel
from tis_utils.representations import LESS, RDS, REPRESENTATIONS, warmup
from tis_utils.representations.gradients import lora_parameters
from tis_utils.representations.warmup import Checkpoint

MakeLM = Callable[..., LanguageModel]
SMALL = {
    "rank": 2,
    "alpha": 4,
    "targets": "all-linear",
    "epochs": 3,
    "lr": 5e-3,
    "batch_size": 4,
    "warmup_fraction": 0.5,
    "dim": 300,
    "show_progress": False,
}


def small(lm: LanguageModel, **options: object) -> LESS:
    return LESS(lm, **{**SMALL, **options})  # type: ignore[arg-type]


def naive_gradient(less: LESS, point: Checkpoint, encoded: Encoded) -> dict[str, np.ndarray]:
    """Autograd on one unpadded example at one checkpoint."""
    factors = lora_parameters(less.model)
    less.model.eval().requires_grad_(False)
    for name, p in factors.items():
        p.data.copy_(point.weight[name])
        p.requires_grad_(True)
    scores = less.model(input_ids=torch.from_numpy(encoded.ids)[None]).logits[0].log_softmax(-1)
    learnt = [t for t in range(1, len(encoded.ids)) if encoded.labels[t] != IGNORE]
    loss = -sum(scores[t - 1, encoded.labels[t]] for t in learnt) / len(learnt)
    grads = torch.autograd.grad(loss, list(factors.values()))
    return {name: g.double().numpy() for name, g in zip(factors, grads, strict=True)}


def naive_feature(less: LESS, point: Checkpoint, encoded: Encoded, adam: bool, matrix: np.ndarray) -> np.ndarray:
    """METHODS §2, steps 2 to 4, with the projection as an explicit matrix."""
    grads = naive_gradient(less, point, encoded)
    parts = []
    for name, g in grads.items():
        m, v = (moment[name].double().numpy() for moment in (point.m, point.v))
        step = (0.9 * m + 0.1 * g) / np.sqrt(0.999 * v + 0.001 * g * g + 1e-8)
        parts.append((step if adam else g).ravel())
    projected = np.concatenate(parts) @ matrix
    return projected / np.linalg.norm(projected)


@pytest.mark.parametrize("candidate_gradient", ["adam", "sgd"])
@pytest.mark.parametrize("sketch", ["count", "rademacher"])
def test_similarity_is_the_weighted_sum_of_cosines_of_the_paper(
    make_lm: MakeLM, examples: list[Example], queries: list[Query], sketch: str, candidate_gradient: str
) -> None:
    less = small(make_lm(), sketch=sketch, candidate_gradient=candidate_gradient)
    candidates, wanted = less.candidates(examples), less.queries(queries)
    rates = np.array([point.lr for point in less.history])
    assert len(set(rates)) == 3
    assert candidates.shape == (len(examples), 3 * 300)
    assert candidates.dtype == wanted.dtype == np.float32
    np.testing.assert_allclose((candidates**2).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose((wanted**2).sum(1), 1, atol=1e-5)

    matrix = less.sketch.apply(torch.eye(less.parameters)).double().numpy()  # (P, d): one for all
    expected = np.zeros((len(queries), len(examples)))
    for rate, point in zip(rates, less.history, strict=True):
        c = [
            naive_feature(less, point, e, candidate_gradient == "adam", matrix)
            for e in encode_all(examples, less.lm.tokenizer, 2048)
        ]
        q = [naive_feature(less, point, e, False, matrix) for e in encode_all(queries, less.lm.tokenizer, 2048)]
        expected += rate / rates.sum() * np.stack(q) @ np.stack(c).T
    np.testing.assert_allclose(wanted @ candidates.T, expected, atol=1e-4)


def test_last_checkpoint_only(make_lm: MakeLM, examples: list[Example]) -> None:
    every = small(make_lm())
    full = every.candidates(examples)
    last = small(make_lm(), checkpoints="last")
    last.history = every.history
    np.testing.assert_allclose(last.candidates(examples), full[:, 600:] / np.sqrt(every.weights[2]), atol=1e-5)
    assert last.weights.tolist() == [1.0]


def test_batch_mates_padding_and_order_do_not_matter(
    make_lm: MakeLM, examples: list[Example], queries: list[Query], family: str
) -> None:
    less = small(make_lm(family), batch_tokens=10_000).warm_up(examples)
    alone = small(make_lm(family), batch_tokens=1)
    alone.history = less.history
    together = less.candidates(examples[::-1])[::-1]
    np.testing.assert_allclose(alone.candidates(examples), together, atol=1e-5)
    np.testing.assert_allclose(alone.queries(queries[:1]), less.queries(queries)[:1], atol=1e-5)


def test_queries_and_candidates_share_one_projection(make_lm: MakeLM, queries: list[Query]) -> None:
    less = small(make_lm(), candidate_gradient="sgd")
    twin = [
        Example(q.id, [{"role": "user", "content": "x"}, {"role": "assistant", "content": q.label}], "toy")
        for q in queries
    ]
    same = [Query(e.id, "<|user|>\nx\n<|assistant|>\n", e.messages[1]["content"], "toy") for e in twin]
    rows = less.warm_up(twin).candidates(twin)
    # the candidate text ends with one more line break, after the last label: same loss, same gradient
    np.testing.assert_allclose(less.queries(same), rows, atol=1e-5)


def test_the_base_model_is_left_alone(
    make_lm: MakeLM, examples: list[Example], queries: list[Query], family: str
) -> None:
    lm = make_lm(family)
    before = copy.deepcopy(lm.model.state_dict())
    flags = {name: p.requires_grad for name, p in lm.model.named_parameters()}
    kinds = [(name, type(module)) for name, module in lm.model.named_modules()]
    rds = RDS(lm).candidates(examples)
    less = small(lm)
    less.candidates(examples)
    less.queries(queries)
    assert all(torch.equal(before[name], t) for name, t in lm.model.state_dict().items())
    assert {name: p.requires_grad for name, p in lm.model.named_parameters()} == flags
    assert [(name, type(module)) for name, module in lm.model.named_modules()] == kinds
    assert not lm.model.training
    np.testing.assert_array_equal(RDS(lm).candidates(examples), rds)
    shared = less.model.get_base_model().get_input_embeddings().weight
    assert shared.data_ptr() == lm.model.get_input_embeddings().weight.data_ptr()  # no second copy in memory


def test_same_seed_same_features(make_lm: MakeLM, examples: list[Example]) -> None:
    first, second = (small(make_lm(), dropout=0.3).candidates(examples) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, small(make_lm(), dropout=0.3, seed=1).candidates(examples))


def test_the_global_random_state_is_untouched(make_lm: MakeLM, examples: list[Example]) -> None:
    lm = make_lm()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    small(lm, dropout=0.3).candidates(examples)
    assert torch.equal(torch.rand(3), expected)


def test_warm_up_takes_a_seeded_fraction_unless_given(make_lm: MakeLM, examples: list[Example]) -> None:
    less = small(make_lm(), warmup_fraction=0.25)
    less.candidates(examples)
    assert len(set(less.warmup_ids)) == round(0.25 * len(examples))
    again = small(make_lm(), warmup_fraction=0.25)
    again.candidates(examples)
    assert again.warmup_ids == less.warmup_ids
    given = small(make_lm()).warm_up(examples[:3])
    history = given.history
    given.candidates(examples)
    assert given.warmup_ids == ["c0", "c1", "c2"]
    assert given.history is history


def test_masked_and_nan_candidates_get_a_named_zero_row(make_lm: MakeLM, examples: list[Example]) -> None:
    lm = make_lm("qwen")  # output head not tied to the embeddings, so that NaN stays with its token
    bad_token = lm.tokenizer("Z")["input_ids"][0]
    with torch.no_grad():
        lm.model.get_input_embeddings().weight[bad_token] = torch.nan
    cut = Example("cut", [{"role": "user", "content": "a" * 300}, {"role": "assistant", "content": "b"}], "toy")
    nan = Example("nan", [{"role": "user", "content": "Z"}, {"role": "assistant", "content": "b"}], "toy")
    less = small(lm, max_length=200, batch_tokens=100_000).warm_up(examples)
    clean = less.candidates(examples)
    assert less.skipped == {}
    with pytest.warns(RuntimeWarning, match=r"2 of 16 candidates get a zero row: cut .*nan "):
        rows = less.candidates([examples[0], cut, nan, *examples[1:]])
    assert set(less.skipped) == {"cut", "nan"}
    assert not rows[1:3].any()
    np.testing.assert_allclose(np.delete(rows, [1, 2], axis=0), clean, atol=1e-5)
    with pytest.raises(InputError, match="bad query"):
        less.queries([Query("bad query", "Z", "b", "toy")])


def test_nan_and_masked_examples_do_not_spoil_the_warm_up(make_lm: MakeLM, examples: list[Example]) -> None:
    lm = make_lm("qwen")
    with torch.no_grad():
        lm.model.get_input_embeddings().weight[lm.tokenizer("Z")["input_ids"][0]] = torch.nan
    nan = Example("nan", [{"role": "user", "content": "Z"}, {"role": "assistant", "content": "b"}], "toy")
    cut = Example("cut", [{"role": "user", "content": "a" * 300}, {"role": "assistant", "content": "b"}], "toy")
    less = small(lm, max_length=200)
    with pytest.warns(RuntimeWarning, match="1 of 10 examples have no label token"):
        less.warm_up([nan, *examples[:8], cut])
    assert "cut" not in less.warmup_ids
    for point in less.history:
        for part in (point.weight, point.m, point.v):
            assert all(torch.isfinite(t).all() for t in part.values())
    assert any(t.abs().max() > 0 for t in less.history[-1].m.values())


def test_save_and_load(make_lm: MakeLM, examples: list[Example], queries: list[Query], tmp_path: Path) -> None:
    less = small(make_lm())
    rows, wanted = less.candidates(examples), less.queries(queries)
    less.save(tmp_path / "warm")
    other = small(make_lm(), dropout=0.5).load(tmp_path / "warm")
    assert other.warmup_ids == less.warmup_ids
    assert [p.lr for p in other.history] == [p.lr for p in less.history]
    np.testing.assert_array_equal(other.queries(queries), wanted)
    np.testing.assert_array_equal(other.candidates(examples), rows)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["warm"]  # no draft left behind
    assert not any(p.suffix in {".pt", ".bin", ".pkl"} for p in (tmp_path / "warm").iterdir())


def test_tensors_are_matched_by_name_not_position(make_lm: MakeLM, examples: list[Example], tmp_path: Path) -> None:
    less = small(make_lm()).warm_up(examples)
    less.save(tmp_path / "warm")
    file = tmp_path / "warm" / "epoch-3.safetensors"
    tensors = load_file(file)
    keys = sorted(tensors)
    same_shape = [k for k in keys if k.startswith("m/") and tensors[k].shape == tensors[keys[0]].shape]
    a, b = same_shape[:2]
    tensors[a], tensors[b] = tensors[b], tensors[a]  # same shapes, other names: must end up swapped
    save_file(dict(reversed(tensors.items())), file)
    other = small(make_lm()).load(tmp_path / "warm")
    swap = {a[2:]: b[2:], b[2:]: a[2:]}
    for name, moment in less.history[2].m.items():
        assert torch.equal(other.history[2].m[swap.get(name, name)], moment)


@pytest.mark.parametrize("change", [{"targets": ["q_proj"]}, {"rank": 3}])
def test_other_lora_factors_are_named(
    make_lm: MakeLM, examples: list[Example], tmp_path: Path, change: dict[str, object]
) -> None:
    small(make_lm()).warm_up(examples[:4]).save(tmp_path / "warm")
    with pytest.raises(InputError, match=r"layers\.0\.\w+\.\w+_proj\.lora_A\.default\.weight"):
        small(make_lm(), **change).load(tmp_path / "warm")


def test_a_renamed_parameter_is_named(make_lm: MakeLM, examples: list[Example], tmp_path: Path) -> None:
    small(make_lm()).warm_up(examples[:4]).save(tmp_path / "warm")
    file = tmp_path / "warm" / "epoch-1.safetensors"
    tensors = load_file(file)
    gone = next(k for k in tensors if k.startswith("v/"))
    tensors["v/someone_else"] = tensors.pop(gone)
    save_file(tensors, file)
    with pytest.raises(InputError, match="someone_else"):
        small(make_lm()).load(tmp_path / "warm")


def test_damaged_or_foreign_warm_ups_are_refused(make_lm: MakeLM, examples: list[Example], tmp_path: Path) -> None:
    folder = tmp_path / "warm"
    with pytest.raises(InputError, match="no readable LESS warm-up"):
        small(make_lm()).load(folder)
    small(make_lm()).warm_up(examples[:4]).save(folder)
    with pytest.raises(InputError, match="was made with model"):
        small(make_lm(seed=9)).load(folder)
    with pytest.raises(InputError, match="alpha"):
        small(make_lm(), alpha=5).load(folder)
    (folder / "epoch-2.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match=r"epoch-2\.safetensors"):
        small(make_lm()).load(folder)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious", encoding="utf-8")
    with pytest.raises(InputError, match="not a LESS warm-up"):
        small(make_lm()).warm_up(examples[:4]).save(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").is_file()


def test_misuse_is_explained(make_lm: MakeLM, examples: list[Example], queries: list[Query]) -> None:
    lm = make_lm()
    with pytest.raises(InputError, match="warm_up"):
        small(lm).queries(queries)
    with pytest.raises(InputError, match="warm_up"):
        small(lm).save("nowhere")
    with pytest.raises(InputError, match="label token"):
        small(lm).candidates([])
    for option, value in {
        "sketch": "x",
        "candidate_gradient": "x",
        "checkpoints": "x",
        "warmup_fraction": 0.0,
        "epochs": 0,
        "lr": -1.0,
        "batch_size": 0,
        "targets": ["no_such_layer"],
        "dim": 0,
        "batch_tokens": -4,
    }.items():
        with pytest.raises(InputError):
            small(lm, **{option: value}).warm_up(examples)


def test_no_texts_no_rows(make_lm: MakeLM, examples: list[Example]) -> None:
    less = small(make_lm()).warm_up(examples[:4])
    assert less.candidates([]).shape == less.queries([]).shape == (0, 900)


def test_one_single_step_still_has_a_weight(make_lm: MakeLM, examples: list[Example]) -> None:
    less = small(make_lm(), epochs=1, batch_size=128)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        rows = less.candidates(examples)
    assert less.weights.tolist() == [1.0]
    np.testing.assert_allclose((rows**2).sum(1), 1, atol=1e-5)


def test_half_precision_gives_finite_unit_rows(make_lm: MakeLM, examples: list[Example], queries: list[Query]) -> None:
    exact, rounded = make_lm("qwen"), make_lm("qwen", torch.bfloat16)
    less = small(rounded)
    for rows in (less.candidates(examples), less.queries(queries), RDS(rounded).candidates(examples)):
        assert rows.dtype == np.float32
        np.testing.assert_allclose((rows**2).sum(1), 1, atol=1e-5)
    cosines = (RDS(rounded).candidates(examples) * RDS(exact).candidates(examples)).sum(1)
    assert cosines.min() > 0.99


def test_settings_say_what_the_features_depend_on(make_lm: MakeLM) -> None:
    lm = make_lm()
    base = small(lm).settings
    assert json.loads(json.dumps(base)) == base
    assert small(lm, batch_tokens=77).settings == base  # speed only
    changes: list[dict[str, object]] = [{"rank": 3}, {"lr": 1.0}, {"dim": 9}, {"seed": 4}, {"sketch": "rademacher"}]
    changes += [{"candidate_gradient": "sgd"}, {"checkpoints": "last"}, {"max_length": 9}, {"warmup_fraction": 0.1}]
    assert all(small(lm, **change).settings != base for change in changes)
    assert small(make_lm(seed=3)).settings != base
    assert RDS(lm).settings == RDS(lm, batch_tokens=5).settings != RDS(lm, max_length=5).settings


def test_names() -> None:
    assert list(REPRESENTATIONS) == ["embed", "rds", "less", "lexical"]


def test_variants_of_the_released_code_repeat_and_stand_in_the_settings(
    make_lm: MakeLM, examples: list[Example], queries: list[Query]
) -> None:
    lm = make_lm("llama")
    plain = small(lm, dropout=0.5)
    rows = plain.candidates(examples)
    assert "as_released" not in plain.settings
    for name, near in [("dropout", 1.0), ("half", 2e-3), ("token_loss", 1.0)]:
        less = small(lm, dropout=0.5, as_released=[name])
        varied = less.candidates(examples)
        assert less.settings["as_released"] == [name]
        assert 0 < np.abs(varied - rows).max() < near
        np.testing.assert_array_equal(small(lm, dropout=0.5, as_released=[name]).candidates(examples), varied)
    with pytest.raises(InputError, match="'fp16'"):
        small(lm, as_released=["fp16"])


def test_a_token_weighted_step_is_the_mean_over_tokens(make_lm: MakeLM, examples: list[Example]) -> None:
    less = small(make_lm("llama"), as_released=["token_loss"], batch_tokens=64)
    data = [text for text in encode_all(examples, less.lm.tokenizer, 2048) if text.trainable]
    factors = lora_parameters(less.model)
    less.model.eval().requires_grad_(False)
    for p in factors.values():
        p.requires_grad_(True)
    warmup._accumulate(less.model, data, less.recipe, less.lm.pad_id)
    summed, tokens = {name: torch.zeros_like(p) for name, p in factors.items()}, 0
    for text in data:
        scores = less.model(input_ids=torch.from_numpy(text.ids)[None]).logits[0].log_softmax(-1)
        learnt = [t for t in range(1, len(text.ids)) if text.labels[t] != IGNORE]
        loss = -sum(scores[t - 1, text.labels[t]] for t in learnt)
        for name, g in zip(factors, torch.autograd.grad(loss, list(factors.values())), strict=True):
            summed[name] += g
        tokens += len(learnt)
    for name, p in factors.items():
        torch.testing.assert_close(p.grad, summed[name] / tokens, atol=1e-5, rtol=1e-3)
