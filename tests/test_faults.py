"""More drills: damaged and foreign files, a real small disk, a read-only one, two runs at once, clocks that jump.

Built like test_drills.py, whose study and forked children it uses: ``python test_faults.py FOLDER`` is the program
that suffers, the tests judge what is left. ``pytest -s`` prints the table of faults.
"""

from __future__ import annotations

import io
import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
import test_drills as drills
import yaml

from tis_utils import cli, paths
from tis_utils.book import execute
from tis_utils.experiments import similarities
from tis_utils.experiments.run_spec import ROW_COLUMNS, grid
from tis_utils.experiments.study import Study
from tis_utils.profiles import Profile
from tis_utils.representations import pool_features as features
from tis_utils.storage import stored_results as shipped
from tis_utils.storage.cache import Store

FEW = grid(["digits"], [("rds", "round_robin"), ("less", "uot")], [2], [0])
KILLS = 4
KINDS = {  # what is damaged: where it lies below a run's folder
    "array": "cache/features/rds/*.npy",
    "array's manifest": "cache/features/rds/*.json",
    "table": "cache/runs/*.csv",
    "table's manifest": "cache/runs/*.json",
    "warm-up": "cache/warmups/*/epoch-2.safetensors",
    "warm-up's note": "cache/warmups/*/warmup.json",
    "warm-up's checksums": "cache/warmups/*.json",
    "stored results": "results/drill/budgets.csv",
    "stored results' manifest": "results/drill/budgets.json",
}
FOREIGN = {"array": "cache/features/less/*.npy"}  # what is put there instead; else the other run's file of the kind
DAMAGES = ("truncated", "flipped", "foreign", "empty")


# --- the program ------------------------------------------------------------------------------------


def finish(folder: Path, name: str) -> None:
    drills.finish(folder, name, FEW)


def read(folder: Path, name: str) -> None:
    """The same rows, but nothing is written that is there already; stored results are used."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    shipped.RESULTS = folder / name / "results"
    study = Study(Profile(**drills.settings(folder)), Store(folder / name / "cache"))
    rows = study.run(FEW, jobs=1)
    rows.to_csv(folder / f"{name}.rows.csv", index=False)


def damage(path: Path, how: str, foreign: Path) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    elif how == "flipped":
        checksum = content.find(b'"sha256": "')  # of a manifest; what it says of the machine is no matter
        content[checksum + 20 if checksum > 0 else len(content) * 3 // 4] ^= 1
    elif how == "foreign":
        content = bytearray(foreign.read_bytes())
    path.write_bytes(b"" if how == "empty" else content)


def damaged(folder: Path) -> list[dict[str, Any]]:
    """Copies of a finished run with one file spoilt each; features are dropped where a warm-up is, so it is read."""
    assert drills.forked(lambda: finish(folder, "few")).code == 0
    shutil.copytree(folder / "few", folder / "plain")
    shutil.rmtree(folder / "plain" / "results")
    assert drills.forked(lambda: read(folder, "plain")).code == 0
    usual = drills.settings

    def other(folder: Path) -> dict[str, Any]:
        made = usual(folder)
        return made | {"seeds": [2], "less": made["less"] | {"lr": 5e-3}, "max_length": 48}

    drills.settings = other  # type: ignore[assignment]
    assert drills.forked(lambda: finish(folder, "other")).code == 0
    drills.settings = usual
    seen = []
    for kind, pattern in KINDS.items():
        for how in DAMAGES:
            name = f"{kind}-{how}".replace(" ", "-").replace("'", "")
            shutil.copytree(folder / "few", folder / name)
            target = sorted((folder / name).glob(pattern))[0]
            others = sorted((folder / "other").glob(FOREIGN.get(kind, pattern)))
            damage(target, how, next(path for path in others if path.read_bytes() != target.read_bytes()))
            if "stored" not in kind:
                shutil.rmtree(folder / name / "results")
            if kind.startswith("warm"):
                shutil.rmtree(folder / name / "cache" / "features" / "less")
                shutil.rmtree(folder / name / "cache" / "runs")
            child = drills.forked(lambda n=name: read(folder, n))
            seen.append({"kind": kind, "how": how, "name": name, **vars(child)})
    return seen


def model(folder: Path) -> list[dict[str, Any]]:
    """A spoilt model: refused, or another model; what the sound one made stays what it was."""
    seen = []
    shutil.copytree(folder / "few", folder / "model-run")
    shutil.rmtree(folder / "model-run" / "results")
    weights, config = folder / "model" / "model.safetensors", folder / "model" / "config.json"
    for file in (weights, config):
        sound = file.read_bytes()
        for how in ("truncated", "flipped", "empty"):
            damage(file, how, file)
            child = drills.forked(lambda: read(folder, "model-run"))
            seen.append({"kind": file.name, "how": how, **vars(child)})
            file.write_bytes(sound)
    child = drills.forked(lambda: read(folder, "model-run"))
    return [*seen, {"kind": "restored", "how": "", **vars(child)}]


@contextmanager
def disk(place: Path, size: str) -> Iterator[Callable[[str], bool]]:
    """A file system in memory; gives a function that mounts it anew with other options."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tis", place], capture_output=True, check=False
    )
    if mounted.returncode:
        raise PermissionError(mounted.stderr.decode())

    def again(options: str) -> bool:
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True, capture_output=True)
        return True

    try:
        yield again
    finally:
        subprocess.run(["umount", place], check=False, capture_output=True)


def small_disk(folder: Path) -> dict[str, Any]:
    """Runs on a disk that grows a little each time; then finished work is read from a read-only one."""
    total = sum(-(-path.stat().st_size // 4096) for path in (folder / "few").rglob("*") if path.is_file()) * 4
    try:
        with disk(folder / "small", "64k") as remount:
            runs = []
            for share in (0, 0.15, 0.3, 0.5, 0.7, 0.9, 1.1, 2.0):
                remount(f"size={64 + int(total * share)}k")
                child = drills.forked(lambda: finish(folder, "small"))
                left = [str(path) for path in (folder / "small").rglob("*.part")]
                runs.append({"share": share, "left": left, **vars(child)})
                if child.code == 0:
                    break
            remount(f"size={total * 4 + 64}k,ro")
            whole = vars(drills.forked(lambda: read(folder, "small")))
            remount("rw")
            lost = sorted((folder / "small").glob("cache/runs/*"))[:2] + list(
                (folder / "small").glob("results/drill/*")
            )
            for path in lost:
                path.unlink()
            remount("ro")
            refused = vars(drills.forked(lambda: read(folder, "small")))
            remount("rw")
            mended = vars(drills.forked(lambda: finish(folder, "small")))
            shutil.copytree(folder / "small", folder / "small-copy")
    except PermissionError as error:
        return {"skipped": str(error)}
    return {"runs": runs, "whole": whole, "refused": refused, "mended": mended}


def at_once(folder: Path) -> list[int]:
    """Two runs that begin together and share one cache; twice."""
    context = multiprocessing.get_context("fork")
    codes = []
    for name in ("both-0", "both-1"):
        pair = [context.Process(target=finish, args=(folder, name)) for _ in range(2)]
        for process in pair:
            process.start()
        for process in pair:
            process.join()
            codes.append(process.exitcode)
    return codes


def clocks(folder: Path) -> dict[str, Any]:
    """Files from the past and the future, and a clock that jumps backwards while a run goes on."""
    seen: dict[str, Any] = {}
    for name, moment in (("past", 1), ("future", 4_000_000_000)):
        shutil.copytree(folder / "few", folder / name)
        for path in (folder / name).rglob("*"):
            os.utime(path, (moment, moment))
        shutil.rmtree(folder / name / "results")
        child = drills.forked(lambda n=name: finish(folder, n))
        kept = [
            path for path in (folder / name / "cache").rglob("*") if path.is_file() and path.stat().st_mtime == moment
        ]
        seen[name] = {"kept": len(kept), "all": drills.files(folder / name / "cache"), **vars(child)}

    def jumping() -> None:
        chance = random.Random(1)
        time.time = lambda: chance.choice([-1e9, 0.0, 2e9, 9e9])  # type: ignore[assignment]
        time.time_ns = lambda: int(time.time() * 1e9)
        finish(folder, "jumping")

    seen["jumping"] = vars(drills.forked(jumping))
    return seen


def represent(folder: Path, name: str, *words: str) -> None:
    """``tis represent`` on the drills' data, two candidates a shard."""
    os.environ["TIS_CACHE"] = str(folder / name / "cache")
    features.SHARD = 2
    sys.argv = ["tis", "represent", "-P", str(folder / "drill.yaml"), "-R", "rds", "-R", "less", *words]
    cli.main()


def shards(folder: Path) -> dict[str, Any]:
    """Kill a part of a job array at random moments, let it go on, join."""
    (folder / "drill.yaml").write_text(yaml.safe_dump(drills.settings(folder)), encoding="utf-8")
    assert drills.forked(lambda: represent(folder, "whole")).code == 0
    chance, done = random.Random(3), []
    total = drills.files(folder / "whole") + 12
    for kill in range(KILLS):
        moment = drills.at(folder / "shards", chance.randint(0, total // 3), chance.uniform(0, 0.05))
        child = drills.forked(lambda k=kill: represent(folder, "shards", "--shard", f"{k % 2}/2"), moment)
        done.append((child.code, len(list((folder / "shards").rglob("*.npy")))))
    last = [
        drills.forked(lambda k=k: represent(folder, "shards", *k)) for k in (("--shard", "0/2"), ("--shard", "1/2"), ())
    ]
    return {"kills": done, "last": [vars(child) for child in last]}


def book(folder: Path) -> dict[str, Any]:
    """Kill the execution of a notebook: while it runs, and between its output and the record of it."""
    made = folder / "book"
    made.mkdir()
    paths.BUILD, paths.NOTEBOOKS = made / "build", made
    cell, note = nbformat.v4.new_code_cell, nbformat.v4.new_notebook()
    mark = "import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(1)\nprint(6 * 7)"
    note.cells = [cell("profile = 'smoke'", metadata={"tags": ["parameters"]}), cell(mark)]
    note.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(note, made / "00_x.ipynb")

    def run(output: str, die: bool = False) -> None:
        usual = execute.describe

        def describe(*words: Any) -> None:
            if die:
                os.kill(os.getpid(), signal.SIGKILL)
            usual(*words)

        execute.describe = describe  # type: ignore[assignment]
        done = execute.execute_stale(
            made / "00_x.ipynb", made / output / "00_x.ipynb", {"profile": "smoke"}, progress=False
        )
        (made / "executed").write_text(str(done.fresh), encoding="utf-8")  # a kernel may print too, as it ends

    whole = drills.forked(lambda: run("whole"))
    (made / "started").unlink()
    during = drills.forked(lambda: run("killed"), lambda: (made / "started").exists())
    left = sorted(path.name for path in (made / "killed").glob("*")) if (made / "killed").exists() else []
    between = drills.forked(lambda: run("killed", die=True))
    without = sorted(path.name for path in (made / "killed").glob("*"))
    found = {"whole": whole, "during": during, "between": between}
    executed = []
    for name in ("again", "once more"):
        found[name] = drills.forked(lambda: run("killed"))
        executed.append((made / "executed").read_text(encoding="utf-8"))
    facts = {name: vars(child) for name, child in found.items()}
    return facts | {"left": left, "without record": without, "executed": executed}


def main(folder: Path) -> None:
    similarities.load_data = drills.data  # type: ignore[assignment]
    facts: dict[str, Any] = {}
    for drill in (damaged, model, small_disk, at_once, clocks, shards, book):
        start = time.monotonic()
        facts[drill.__name__] = drill(folder)
        print(drill.__name__, round(time.monotonic() - start, 1), file=sys.stderr)
    print(json.dumps(facts))


# --- the tests --------------------------------------------------------------------------------------

TABLE: list[tuple[str, int, str, int]] = []


@dataclass
class Drilled:
    folder: Path
    facts: dict[str, Any]
    told: str  # what all processes wrote to stderr

    def rows(self, name: str) -> bytes:
        return (self.folder / f"{name}.rows.csv").read_bytes()

    def right(self) -> bytes:
        """The rows of the run that met no trouble."""
        return self.rows("plain")


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> Iterator[Drilled]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("faults")
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
    assert done.returncode == 0, done.stderr[-5000:]
    print(done.stderr[-400:])
    yield Drilled(folder, json.loads(done.stdout.splitlines()[-1]), done.stderr)
    print("\nfault | tries | lost work | wrong numbers")
    for fault, tries, lost, wrong in TABLE:
        print(f"{fault} | {tries} | {lost} | {wrong}")


def numbers(rows: bytes, digits: int | None = None) -> list[list[Any]]:
    """Cells, metrics and values of a table, in order; stored tables keep eight digits."""
    frame = pd.read_csv(io.BytesIO(rows), float_precision="round_trip")
    values = [repr(v) if digits is None else f"{v:.{digits}g}" for v in frame["value"]]
    return frame[[*ROW_COLUMNS[:8], "metric"]].assign(value=values).values.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_never_give_a_wrong_number(drilled: Drilled, kind: str) -> None:
    tries = [run for run in drilled.facts["damaged"] if run["kind"] == kind]
    wrong = 0
    for run in tries:
        assert run["code"] == 0, run
        wrong += numbers(drilled.rows(run["name"])) != numbers(drilled.right())
        assert any(word in run["printed"] for word in ("Recomputing", "warms up again", "Not used")), run
    TABLE.append((f"{kind}: truncated, bit flipped, foreign, empty", len(tries), "that artefact", wrong))
    assert len(tries) == len(DAMAGES)
    assert wrong == 0


@pytest.mark.slow
def test_a_damaged_model_is_refused_or_another_one(drilled: Drilled) -> None:
    *runs, restored = drilled.facts["model"]
    for run in runs:
        assert run["error"] in ("InputError", "RunError", ""), run
        assert run["code"] == 0 or str(drilled.folder / "model") in run["text"], run
    for run in runs:
        if run["how"] in ("truncated", "empty"):
            assert run["code"] == 1, run
    assert restored["code"] == 0
    wrong = numbers(drilled.rows("model-run")) != numbers(drilled.right())
    TABLE.append(("model files: truncated, bit flipped, empty", len(runs), "none", int(wrong)))
    assert not wrong
    before = drills.payloads(drilled.folder / "few" / "cache")
    after = drills.payloads(drilled.folder / "model-run" / "cache")
    assert before.items() <= after.items()


@pytest.mark.slow
def test_a_real_full_disk_and_a_read_only_one(drilled: Drilled) -> None:
    facts = drilled.facts["small_disk"]
    if "skipped" in facts:
        pytest.skip(f"this user may mount no disk: {facts['skipped']}")
    *failed, last = facts["runs"]
    assert last["code"] == 0, last
    assert len(failed) >= 3
    for run in failed:
        assert run["error"] == "RunError", run
        assert run["text"].startswith(f"No space left to write {drilled.folder / 'small'}"), run
        assert run["left"] == [], run
    TABLE.append(("full disk (tmpfs)", len(failed), "the artefact being written", 0))
    assert facts["whole"]["code"] == 0, facts["whole"]
    assert facts["refused"]["error"] == "RunError", facts["refused"]
    for word in (f"Cannot write {drilled.folder / 'small'}", "Read-only file system", "choose another place"):
        assert word in facts["refused"]["text"]
    assert facts["mended"]["code"] == 0
    assert numbers(drilled.rows("small"), 8) == numbers(drilled.right(), 8)
    drills.is_like(drilled.folder / "small-copy", drilled.folder / "few")
    TABLE.append(("read-only disk", 2, "none (finished work is read)", 0))


@pytest.mark.slow
def test_two_runs_at_once(drilled: Drilled) -> None:
    assert drilled.facts["at_once"] == [0, 0, 0, 0], drilled.told
    for name in ("both-0", "both-1"):
        drills.is_like(drilled.folder / name, drilled.folder / "few")
    TABLE.append(("two runs on one cache", 4, "none (some is done twice)", 0))


@pytest.mark.slow
def test_clocks_that_jump(drilled: Drilled) -> None:
    facts = drilled.facts["clocks"]
    for name in ("past", "future"):
        assert facts[name]["code"] == 0, facts[name]
        assert facts[name]["kept"] == facts[name]["all"]  # nothing was made again
        drills.is_like(drilled.folder / name, drilled.folder / "few")
    assert facts["jumping"]["code"] == 0, facts["jumping"]
    drills.is_like(drilled.folder / "jumping", drilled.folder / "few")
    TABLE.append(("files of 1970 and 2096, a clock that jumps", 3, "none", 0))


@pytest.mark.slow
def test_kills_of_a_job_array(drilled: Drilled) -> None:
    facts = drilled.facts["shards"]
    assert sum(code == -signal.SIGKILL for code, _ in facts["kills"]) >= KILLS - 1, facts
    counts = [count for _, count in facts["kills"]]
    assert counts == sorted(counts)  # no finished shard is lost
    assert [child["code"] for child in facts["last"]] == [0, 0, 0], facts["last"]
    whole, joined = (drills.payloads(drilled.folder / name / "cache") for name in ("whole", "shards"))
    assert whole == joined
    TABLE.append(("SIGKILL in represent --shard", KILLS, "at most the shard or warm-up at work", 0))


@pytest.mark.slow
def test_kills_of_a_book(drilled: Drilled) -> None:
    facts, made = drilled.facts["book"], drilled.folder / "book"
    assert facts["whole"]["code"] == 0, facts["whole"]
    assert facts["during"]["code"] == facts["between"]["code"] == -signal.SIGKILL
    assert facts["left"] == []  # a half-executed notebook is never among the chapters
    assert facts["without record"] == ["00_x.ipynb"]
    assert facts["again"]["code"] == facts["once more"]["code"] == 0, facts
    assert facts["executed"] == ["True", "False"]  # without its record it is not trusted; with it, it is
    assert (made / "killed" / "00_x.ipynb").read_bytes() == (made / "whole" / "00_x.ipynb").read_bytes()
    TABLE.append(("SIGKILL in a book build", 2, "the notebook at work", 0))


def executed(folder: Path, monkeypatch) -> tuple[Path, Path]:
    """An executed notebook with its record; the execution itself is a stand-in."""
    monkeypatch.setattr(paths, "BUILD", folder / "build")
    source, output = folder / "00_x.ipynb", folder / "out" / "00_x.ipynb"
    source.write_text("{}", encoding="utf-8")

    def stand_in(notebook: Path, target: Path, given: Any, **_: Any) -> float:
        target.parent.mkdir(exist_ok=True)
        target.write_text('{"cells": [], "answer": 42}', encoding="utf-8")
        return 1.0

    monkeypatch.setattr(execute, "execute", stand_in)
    execute.execute_stale(source, output, {"profile": "smoke"})
    return source, output


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("suffix", [".ipynb", ".json"])
def test_damaged_chapters_are_executed_again(suffix: str, how: str, tmp_path: Path, monkeypatch) -> None:
    source, output = executed(tmp_path, monkeypatch)
    assert not execute.execute_stale(source, output, {"profile": "smoke"}).fresh
    foreign = tmp_path / "foreign"
    foreign.write_text('{"key": {"notebook": "other"}, "sha256": "", "seconds": 1}', encoding="utf-8")
    damage(output.with_suffix(suffix), how, foreign)
    assert execute.execute_stale(source, output, {"profile": "smoke"}).fresh
    assert '"answer": 42' in output.read_text(encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
