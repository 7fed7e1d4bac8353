"""Drills: kill runs, interrupt them, fill their disk; what is left must be sound and the next run must go on.

This file is also a program, ``python test_drills.py FOLDER``: it imports everything once and forks a child for every
run, so that a kill costs no start. It prints what happened; the tests judge it and the files that are left.
"""

from __future__ import annotations

import errno
import io
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests_support import example, query
from tis_utils import cli
from tis_utils.examples.load import Data
from tis_utils.experiments import grids, similarities
from tis_utils.experiments.reproduce import keep
from tis_utils.experiments.run_spec import RunSpec, grid
from tis_utils.experiments.study import Study
from tis_utils.profiles import Profile
from tis_utils.storage import stored_results as shipped
from tis_utils.storage.cache import Store

KILLS = 10
CELLS = grid(["digits", "letters"], [("rds", "round_robin"), ("less", "uot")], [2, 4], [0, 1])
FEW = grid(["digits"], [("rds", "round_robin"), ("less", "uot")], [2], [0])


# --- the program: a small study on the model in a folder, run in children that come to harm ----------


def settings(folder: Path) -> dict[str, Any]:
    return {
        "name": "drill", "description": "", "model": str(folder / "model"), "pool": "x.jsonl", "pool_size": 12,
        "n_queries": 2, "n_test": 2, "tasks": ["letters", "digits"], "budgets": [2, 4], "seeds": [0, 1],
        "max_length": 64, "training": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 2},
        "less": {"rank": 2, "alpha": 4, "epochs": 2, "lr": 1e-3, "batch_size": 2, "warmup_fraction": 0.5,
                 "dim": 64, "sketch": "count"},
    }  # fmt: skip


def data(profile: Profile) -> Data:
    pool = [example(str(i) * 3, prompt=f"digit {i}", name=f"d{i}") for i in range(6)]
    pool += [example(c * 3, prompt=f"letter {c}", name=f"l{c}") for c in "abcdef"]
    queries = {"digits": [query("777", prompt="digit 7")], "letters": [query("ggg"), query("hhh")]}
    return Data(pool, queries, {"digits": [query("888"), query("999")], "letters": []})


def finish(folder: Path, name: str, cells: list[RunSpec] = CELLS) -> None:
    """One whole run: features, fine-tuning, the results files; in one process."""
    shipped.RESULTS = folder / name / "results"
    study = Study(Profile(**settings(folder)), Store(folder / name / "cache"))
    study.run(cells, jobs=1)
    keep(study, "budgets", cells)


@dataclass
class Child:
    """How a run ended: exit code (None: it was stopped), the error's type and text, all that was printed."""

    code: int
    error: str
    text: str
    printed: str


def forked(action: Callable[[], Any], stop: Callable[[], bool] = lambda: False, how: int = signal.SIGKILL) -> Child:
    """Do `action` in a child; send it the signal `how` as soon as `stop` says so."""
    told, printed = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
        os.dup2(printed[1], 1)
        os.dup2(printed[1], 2)
        code, words = 0, ["", ""]
        try:
            action()
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException as error:
            code, words = 1, [type(error).__name__, str(error)]
        sys.stdout.flush()
        os.write(told[1], json.dumps(words).encode())
        os._exit(code)
    os.close(told[1])
    os.close(printed[1])
    sent, seen = False, b""
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if not sent and stop():
            os.kill(child, how)
            sent = True
        seen += _waiting(printed[0])  # a full pipe would stop the child
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    error, text = json.loads(_waiting(told[0]) or b'["", ""]')
    seen += _waiting(printed[0])
    os.close(told[0])
    os.close(printed[0])
    return Child(code, error, text, seen.decode())


def _waiting(pipe: int) -> bytes:
    """What lies in a pipe now: its end never comes while a process that a killed child had started holds it open."""
    found = b""
    while select.select([pipe], [], [], 0)[0] and (part := os.read(pipe, 65536)):
        found += part
    return found


def files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def at(folder: Path, count: int, seconds: float) -> Callable[[], bool]:
    """True a moment after so many files have appeared below a folder, however fast this machine is just now."""
    wanted, reached = files(folder) + count, [float("inf")]

    def stop() -> bool:
        if reached[0] == float("inf") and files(folder) >= wanted:
            reached[0] = time.monotonic()
        return time.monotonic() > reached[0] + seconds

    return stop


def kills(folder: Path) -> list[dict[str, Any]]:
    """Rounds of killed runs until there were ten kills; the last run of a round is left in peace."""
    start = time.monotonic()
    assert forked(lambda: finish(folder, "reference")).code == 0
    total, chance = files(folder / "reference"), random.Random(0)
    pause = (time.monotonic() - start) / total
    rounds: list[dict[str, Any]] = []
    left = KILLS
    while left:
        name, killed = f"round-{len(rounds)}", []
        while left:
            moment = at(folder / name, chance.randint(0, total // 3), chance.uniform(0, pause))
            child = forked(lambda n=name: finish(folder, n), moment)
            if child.code != -signal.SIGKILL:
                break
            killed.append(len(list((folder / name / "cache").glob("runs/*.json"))))
            left -= 1
        else:
            child = forked(lambda n=name: finish(folder, n))
        rounds.append({"name": name, "cells at each kill": killed, **vars(child)})
    return rounds


class Full(io.RawIOBase):
    """A file on a disk that has room for half of what is written."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def write(self, content: Any) -> int:
        self.handle.write(content[: len(content) // 2])
        self.handle.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def with_room_for(files: int, action: Callable[[], Any]) -> None:
    """Do `action` on a disk that is full after so many more files."""
    opened, room = Path.open, iter(range(files))

    def limited(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        handle = opened(self, mode, *args, **kwargs)
        return Full(handle) if "w" in mode and next(room, None) is None else handle

    Path.open = limited  # type: ignore[method-assign]
    action()


def within(limit: int, action: Callable[[], Any]) -> None:
    """Do `action` where no file may grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    action()


def full(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Runs that go on where the last one ran out of disk, each with a little more room."""
    assert forked(lambda: finish(folder, "few", FEW)).code == 0
    rooms = {"full": (with_room_for, range(40)), "limited": (within, (0, 300, 8_000, 10**6))}
    seen: dict[str, list[dict[str, Any]]] = {}
    for name, (setting, sizes) in rooms.items():
        seen[name] = []
        for size in sizes:
            child = forked(lambda n=name, s=setting, z=size: s(z, lambda: finish(folder, n, FEW)))
            seen[name].append({"size": size, **vars(child)})
            if child.code == 0:
                break
    return seen


def command(folder: Path, name: str) -> None:
    """``tis grid`` as a user types it, on this file's data and grid."""
    os.environ["TIS_CACHE"] = str(folder / name)
    similarities.load_data = data  # type: ignore[assignment]
    grids.GRIDS["drill"] = lambda profile: CELLS
    words = ["grid", "drill", "--profile", str(folder / "drill.yaml"), "--jobs", "1"]
    sys.argv = ["tis", *words, "--output", str(folder / f"{name}.csv")]
    cli.main()


def interrupt(folder: Path) -> dict[str, Any]:
    """Ctrl-C after three cells, then the same command again; and the command without any trouble."""
    (folder / "drill.yaml").write_text(yaml.safe_dump(settings(folder)), encoding="utf-8")
    cells = folder / "stopped" / "runs"
    stopped = forked(lambda: command(folder, "stopped"), lambda: len(list(cells.glob("*.json"))) >= 3, signal.SIGINT)
    before = {path.name: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    again = forked(lambda: command(folder, "stopped"))
    kept = {path.name for path in cells.glob("*.json") if path.stat().st_mtime_ns == before.get(path.name)}
    whole = forked(lambda: command(folder, "unstopped"))
    counts = {"before": len(before), "kept": len(kept), "after": len(list(cells.glob("*.json")))}
    return {"stopped": vars(stopped), "again": vars(again), "whole": vars(whole), **counts}


def main(folder: Path) -> None:
    similarities.load_data = data  # type: ignore[assignment]
    print(json.dumps({"kills": kills(folder), "full": full(folder), "interrupt": interrupt(folder)}))


# --- the tests --------------------------------------------------------------------------------------


@dataclass
class Drilled:
    folder: Path
    facts: dict[str, Any]


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> Drilled:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("drills")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    quiet = {**os.environ, "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, text=True, env=quiet, check=False
    )
    assert done.returncode == 0, done.stderr
    return Drilled(folder, json.loads(done.stdout.splitlines()[-1]))


def results(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """The results file, and its manifest without what may differ: times and the machine."""
    table = folder / "results" / "drill" / "budgets.csv"
    manifest = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
    return table.read_bytes(), {key: manifest[key] for key in manifest if key not in ("seconds", "environment")}


def payloads(cache: Path) -> dict[str, bytes]:
    """Everything in a cache that a later run may read, but for manifests and times."""
    files = (path for path in cache.rglob("*") if path.is_file() and path.suffix not in (".json", ".part"))
    return {str(path.relative_to(cache)): path.read_bytes() for path in files}


def artefacts(cache: Path) -> set[str]:
    found = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".part")}


def is_like(folder: Path, reference: Path) -> None:
    assert results(folder) == results(reference)
    assert payloads(folder / "cache") == payloads(reference / "cache")
    assert artefacts(folder / "cache") == artefacts(reference / "cache")


@pytest.mark.slow
def test_ten_kills_at_random_points_and_the_results_are_byte_identical(drilled: Drilled) -> None:
    rounds = drilled.facts["kills"]
    assert sum(len(turn["cells at each kill"]) for turn in rounds) == KILLS
    assert len({count for turn in rounds for count in turn["cells at each kill"]}) > 3  # early and late
    for turn in rounds:
        assert turn["code"] == 0, turn
        is_like(drilled.folder / turn["name"], drilled.folder / "reference")


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_next_run_goes_on(drilled: Drilled) -> None:
    *failed, last = drilled.facts["full"]["full"]
    assert len(failed) > 3
    assert last["code"] == 0, last
    stores = [run for run in failed if run["error"] == "RunError"]
    assert len(stores) > 3
    for run in stores:
        assert run["text"].startswith(f"No space left to write {drilled.folder / 'full'}"), run
        assert "choose another place" in run["text"]
    is_like(drilled.folder / "full", drilled.folder / "few")
    assert not list((drilled.folder / "full").rglob("*.part"))


@pytest.mark.slow
def test_files_that_may_not_grow_are_told_and_the_next_run_goes_on(drilled: Drilled) -> None:
    *failed, last = drilled.facts["full"]["limited"]
    assert last["code"] == 0, last
    assert [run["error"] for run in failed[:2]] == ["RunError", "RunError"]
    for run in failed[:2]:
        assert run["text"].startswith(f"Cannot write {drilled.folder / 'limited'}"), run
        assert "File too large" in run["text"]
    is_like(drilled.folder / "limited", drilled.folder / "few")
    assert not list((drilled.folder / "limited").rglob("*.part"))


@pytest.mark.slow
def test_every_failed_write_is_one_sentence_with_the_path(drilled: Drilled) -> None:
    for name, runs in drilled.facts["full"].items():
        for run in runs[:-1]:
            assert run["error"] == "RunError", run
            assert str(drilled.folder / name) in run["text"], run


@pytest.mark.slow
def test_after_ctrl_c_the_next_run_continues(drilled: Drilled) -> None:
    facts, folder = drilled.facts["interrupt"], drilled.folder
    assert facts["stopped"]["code"] != 0
    assert "Traceback" not in facts["stopped"]["printed"]
    assert facts["again"]["code"] == facts["whole"]["code"] == 0
    assert 3 <= facts["before"] == facts["kept"] < facts["after"]
    assert (folder / "stopped.csv").read_bytes() == (folder / "unstopped.csv").read_bytes()
    assert payloads(folder / "stopped") == payloads(folder / "unstopped")


@pytest.mark.slow
def test_ctrl_c_is_one_sentence_and_exit_code_1(drilled: Drilled) -> None:
    stopped = drilled.facts["interrupt"]["stopped"]
    assert stopped["printed"] == "tis: stopped; finished work is kept and the next run continues from it.\n"
    assert stopped["code"] == 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
