from __future__ import annotations

import errno
import json
import logging
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tis_utils.errors import RunError
from tis_utils.examples.text import Example
from tis_utils.storage import cache
from tis_utils.storage.cache import Store
from tis_utils.storage.keys import digest
from tis_utils.storage.manifests import write_atomically

KEY = {"model": "m", "seed": 0}


def counted(value):
    calls = []

    def compute():
        calls.append(1)
        return value

    return compute, calls


def test_an_array_is_computed_once(tmp_path: Path) -> None:
    compute, calls = counted(np.arange(6, dtype=np.float32).reshape(2, 3))
    first = Store(tmp_path).array("step", KEY, compute)
    second = Store(tmp_path).array("step", KEY, compute)
    assert len(calls) == 1
    assert first.dtype == second.dtype == np.float32
    np.testing.assert_array_equal(first, second)


def test_another_key_is_another_artefact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in (0, 1):
        assert store.array("step", {**KEY, "seed": seed}, lambda s=seed: np.array([s]))[0] == seed
    assert len(list(tmp_path.rglob("*.npy"))) == 2


def test_a_table_reads_back_the_same_whether_computed_or_stored(tmp_path: Path) -> None:
    frame = pd.DataFrame({"task": ["a", "b"], "value": [0.1 + 0.2, np.nan], "seed": [0, 1]})
    first = Store(tmp_path).table("step", KEY, lambda: frame)
    second = Store(tmp_path).table("step", KEY, lambda: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(first, frame)


@pytest.mark.parametrize("damage", ["truncate", "flip", "foreign key", "broken manifest", "no manifest", "no payload"])
def test_damaged_artefacts_are_reported_and_recomputed(tmp_path: Path, damage: str, caplog) -> None:
    store = Store(tmp_path)
    store.array("step", KEY, lambda: np.arange(50))
    payload, manifest = next(tmp_path.rglob("*.npy")), next(tmp_path.rglob("*.json"))
    content = bytearray(payload.read_bytes())
    if damage == "truncate":
        payload.write_bytes(content[:-9])
    elif damage == "flip":
        content[-3] ^= 1
        payload.write_bytes(content)
    elif damage == "foreign key":
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "key": {"model": "other"}}))
    elif damage == "broken manifest":
        manifest.write_text("{")
    else:
        (manifest if damage == "no manifest" else payload).unlink()
    with caplog.at_level(logging.WARNING):
        again = store.array("step", KEY, lambda: np.arange(50))
    np.testing.assert_array_equal(again, np.arange(50))
    assert ("Recomputing" in caplog.text) == (not damage.startswith("no "))
    store.array("step", KEY, lambda: pytest.fail("the repaired artefact is not trusted"))


def test_the_manifest_says_what_it_is(tmp_path: Path) -> None:
    Store(tmp_path).array("step", KEY, lambda: np.zeros((3, 2), dtype=np.int64))
    manifest = json.loads(next(tmp_path.rglob("*.json")).read_text())
    assert manifest["key"] == KEY
    assert manifest["shape"] == [3, 2]
    assert manifest["dtype"] == "int64"
    assert {"sha256", "seconds", "environment"} <= set(manifest)


def test_objects_are_never_pickled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        Store(tmp_path).array("step", KEY, lambda: np.array([{"a": 1}], dtype=object))


@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=4)), st.integers(0, 3))
def test_digests_tell_arrays_apart(array: np.ndarray, where: int) -> None:
    other = array.copy()
    other.reshape(-1)[where % array.size] += 1
    assert digest(array) == digest(array.copy())
    assert (digest(array) == digest(other)) == np.array_equal(array, other, equal_nan=True)
    assert digest(array) != digest(array.astype(np.float64))


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": (2, 3), "a": 1})
    chat = [{"role": "assistant", "content": "é"}]
    assert digest(Example("1", chat, "s")) == digest(Example("1", tuple(chat), "s"))
    assert digest(Example("1", chat, "s")) != digest(Example("2", chat, "s"))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def full(self: Path, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("TIS_CACHE", str(tmp_path / "a"))
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RunError, match=r"No space left .* TIS_CACHE"):
        write_atomically(tmp_path / "a" / "b.npy", b"x" * 10)
    with pytest.raises(RunError, match=r"No space left .* choose another place") as error:
        write_atomically(tmp_path / "own" / "b.npy", b"x" * 10)
    assert "TIS_CACHE" not in str(error.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_read_only_folder_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    def refused(self: Path, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("TIS_CACHE", str(tmp_path))
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(RunError, match=r"Permission denied.*permissions.*TIS_CACHE"):
        write_atomically(tmp_path / "b.npy", b"x")


def test_forgetting_removes_artefacts_and_nothing_else(tmp_path: Path) -> None:
    """Somebody may point TIS_CACHE at a folder that holds other things."""
    store = Store(tmp_path)
    store.array("step", KEY, lambda: np.zeros(3))
    store.table("step/deep", KEY, lambda: pd.DataFrame({"a": [1]}))
    for mine in (tmp_path / "thesis.csv", tmp_path / "step" / "notes.json", tmp_path / ".film.part"):
        mine.write_text("precious", encoding="utf-8")
    path = store.path("step", {"of": "a killed run"}, ".npy")
    path.with_name(f".{path.name}.{'0' * 32}.part").write_bytes(b"half")
    store.forget()
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"thesis.csv", "notes.json", ".film.part"}


@pytest.mark.slow
def test_a_killed_run_leaves_whole_artefacts_or_none(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, numpy as np
        from pathlib import Path
        from tis_utils.storage.cache import Store
        store = Store(Path(sys.argv[1]))
        print("ready", flush=True)
        for i in range(100000):
            store.array("step", {"i": i}, lambda: np.full(20000, i))
        """
    )
    for delay in (0.05, 0.11, 0.23):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        before = sum(1 for _ in tmp_path.rglob("*.json"))
        while sum(1 for _ in tmp_path.rglob("*.json")) < before + 1:  # a busy machine takes its time
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    store = Store(tmp_path)
    complete = [json.loads(p.read_text())["key"]["i"] for p in tmp_path.rglob("*.json")]
    assert len(complete) > 1
    for i in complete:
        array = store.array("step", {"i": i}, lambda: pytest.fail("a committed artefact was not whole"))
        assert (array == i).all()


def test_a_disk_that_lets_nothing_be_removed_does_not_hide_the_reason(tmp_path: Path, monkeypatch) -> None:
    """On a read-only disk even the clean-up fails, and so does removing what is not there."""
    reason = OSError(errno.EROFS, "Read-only file system")

    def refused(*_: object, **__: object) -> None:
        raise reason

    store = Store(tmp_path)
    store.array("step", KEY, lambda: np.arange(3))
    monkeypatch.setattr(Path, "unlink", refused)
    store.drop("step", KEY, ".npy")
    store.drop("step", {"never": "made"}, ".npy")
    assert store.has("step", KEY, ".npy")
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(RunError, match=r"Read-only file system.*choose another place"):
        write_atomically(tmp_path / "x.csv", b"1")


def test_an_artefact_that_vanishes_while_it_is_read_is_made_again(tmp_path: Path, monkeypatch) -> None:
    store, sound = Store(tmp_path), cache.trusted
    store.array("step", {"a": 1}, lambda: np.arange(3.0))

    def vanishing(path, key):
        manifest = sound(path, key)
        path.unlink()
        return manifest

    monkeypatch.setattr(cache, "trusted", vanishing)
    assert store.array("step", {"a": 1}, lambda: np.arange(3.0)).tolist() == [0, 1, 2]
