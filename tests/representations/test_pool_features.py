from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests_support import example, query
from tis_utils.errors import InputError
from tis_utils.models.batching import unit
from tis_utils.representations import LESS, RDS
from tis_utils.representations import pool_features as features
from tis_utils.representations.pool_features import PoolFeatures
from tis_utils.storage import stored_results as shipped
from tis_utils.storage.cache import Store

POOL = [example(str(i) * (1 + i % 4), prompt=f"digit {i}", name=f"d{i}") for i in range(11)]
QUERIES = [query("777", prompt="digit 7"), query("ggg")]
SMALL = {"rank": 2, "alpha": 4, "epochs": 2, "lr": 1e-3, "batch_size": 2, "warmup_fraction": 0.5, "dim": 32,
         "show_progress": False}  # fmt: skip


@pytest.fixture(autouse=True)
def small_shards(monkeypatch) -> None:
    monkeypatch.setattr(features, "SHARD", 4)


def job(random_model, root: Path, name: str = "less", **settings) -> PoolFeatures:
    made = LESS(random_model, max_length=64, **{**SMALL, **settings}) if name == "less" else RDS(random_model)
    return PoolFeatures(name, made, POOL, QUERIES, Store(root))


def at_once(made: PoolFeatures) -> np.ndarray:
    rows = made.representation.candidates(POOL)
    return np.concatenate([rows, made.representation.queries(QUERIES)])


@pytest.mark.parametrize("name", ["rds", "less"])
def test_shards_give_the_features_of_the_whole_pool(random_model, tmp_path, name) -> None:
    made = job(random_model, tmp_path, name)
    assert made.shards == 3
    np.testing.assert_allclose(made.matrix(), at_once(job(random_model, tmp_path / "x", name)), atol=1e-5)
    assert made.missing() == []
    assert isinstance(made.matrix(), np.memmap)
    assert made.seconds() > 0


def test_shards_that_another_run_drops_meanwhile_do_no_harm(random_model, tmp_path, monkeypatch) -> None:
    whole, array = at_once(job(random_model, tmp_path / "x", "rds")), Store.array

    def dropped(self, step, key, compute):
        rows = array(self, step, key, compute)
        self.drop(step, key, ".npy")
        return rows

    monkeypatch.setattr(Store, "array", dropped)
    np.testing.assert_allclose(job(random_model, tmp_path, "rds").matrix(), whole, atol=1e-5)


def test_jobs_of_an_array_share_the_work_and_the_warm_up(random_model, tmp_path, monkeypatch) -> None:
    for part in (1, 0):
        job(random_model, tmp_path).compute(range(part, 3, 2))
    joined = job(random_model, tmp_path)
    assert joined.missing() == []
    monkeypatch.setattr(LESS, "warm_up", lambda *a: pytest.fail("warmed up again"))
    monkeypatch.setattr(LESS, "candidates", lambda *a: pytest.fail("computed again"))
    rows = joined.matrix()
    monkeypatch.undo()
    np.testing.assert_allclose(rows, at_once(job(random_model, tmp_path / "x")), atol=1e-5)
    assert not list((tmp_path / "features/less/shards").glob("*.npy"))  # joined, so not kept twice


def test_a_killed_run_continues_and_a_half_written_shard_is_computed_again(random_model, tmp_path) -> None:
    first = job(random_model, tmp_path)
    first.compute([0, 1])
    shard = first.store.path("features/less/shards", first._shard_key(1), ".npy")
    shard.write_bytes(shard.read_bytes()[:-7])
    later = job(random_model, tmp_path)
    assert later.missing() == [1, 2]
    np.testing.assert_allclose(later.matrix(), at_once(job(random_model, tmp_path / "x")), atol=1e-5)


def test_the_warm_up_runs_on_one_thread_however_many_there_are(random_model, tmp_path, monkeypatch) -> None:
    threads, warm_up = [], LESS.warm_up

    def watched(less: LESS, examples) -> LESS:
        threads.append(torch.get_num_threads())
        return warm_up(less, examples)

    monkeypatch.setattr(LESS, "warm_up", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        job(random_model, tmp_path).matrix()
        assert (threads, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_a_damaged_warm_up_is_reported_and_made_again(random_model, tmp_path, caplog) -> None:
    made = job(random_model, tmp_path)
    made.compute([0])
    next((tmp_path / "warmups").rglob("epoch-2.safetensors")).write_bytes(b"nonsense")
    rows = job(random_model, tmp_path).matrix()
    assert "LESS warms up again" in caplog.text
    np.testing.assert_allclose(rows, at_once(job(random_model, tmp_path / "x")), atol=1e-5)


def test_another_model_seed_or_setting_has_other_shards(random_model, tmp_path) -> None:
    job(random_model, tmp_path).matrix()
    assert job(random_model, tmp_path, seed=1).missing() == [0, 1, 2]
    assert job(random_model, tmp_path, epochs=1).missing() == [0, 1, 2]
    assert job(random_model, tmp_path).missing() == []


def test_there_is_no_such_shard(random_model, tmp_path) -> None:
    with pytest.raises(InputError, match=r"There is no shard 3: the pool has 3 \(0 … 2\)"):
        job(random_model, tmp_path).compute([3])


class TestShipped:
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(shipped, "RESULTS", tmp_path)

    def rows(self, d: int, seed: int = 0) -> np.ndarray:
        rows = shipped.unit_rows(np.random.default_rng(seed).normal(size=(9, d)))
        rows[3] = 0  # not represented
        return rows

    @pytest.mark.parametrize("d", [5, 9, 400])
    def test_inner_products_survive(self, d: int) -> None:
        rows = self.rows(d)
        path = shipped.write_features("p", "less", {"seed": 0}, rows, 1.5)
        back = shipped.read_features("p", "less", {"seed": 0})
        assert back is not None
        assert back.shape == (9, min(d, 9))
        np.testing.assert_allclose(back @ back.T, rows @ rows.T, atol=2e-3)
        np.testing.assert_allclose(np.linalg.norm(back, axis=1), np.arange(9) != 3, atol=1e-6)
        manifest = json.loads(path.with_suffix(".json").read_text())
        assert manifest["seconds"] == 1.5
        assert shipped.feature_seconds("p", "less") == 1.5 / 9
        assert np.isnan(shipped.feature_seconds("p", "rds"))
        assert manifest["largest_inner_product_error"] < 2e-3

    def test_another_key_and_a_damaged_file_are_not_used(self, caplog) -> None:
        key = {"seed": 0, "model": "m"}
        path = shipped.write_features("p", "rds", key, self.rows(5), 1)
        assert shipped.read_features("p", "rds", key) is not None
        assert shipped.read_features("p", "rds", {**key, "seed": 1}) is None
        assert "seed changed" in caplog.text
        assert shipped.read_features("q", "rds", key) is None
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        assert shipped.read_features("p", "rds", key) is None
        assert "does not match its checksum" in caplog.text


@pytest.mark.parametrize("scale", [1e-300, 1e-26, 1e-20, 1e-3, 1.0, 1e10, 1e25, 1e300])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_unit_rows_of_any_scale(scale: float, kind: type) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 5))
    rows[4] = 0
    scaled = scale * rows
    if kind == np.float32 and not 1e-35 < scale < 1e35:
        pytest.skip("no such numbers in float32")
    expected = shipped.unit_rows(rows)
    np.testing.assert_allclose(shipped.unit_rows(scaled.astype(kind)), expected, rtol=2e-6)
    torch_rows = torch.from_numpy(scaled.astype(kind))
    np.testing.assert_allclose(unit(torch_rows).numpy(), expected, rtol=2e-6)
    assert unit(torch.tensor([[float("nan"), 1.0]])).isnan().all()
