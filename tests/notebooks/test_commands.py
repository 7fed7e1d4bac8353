"""Every command that a page prints works: read with its values, and executed with its shares made small."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from tests_support import new_cache, tis
from tis_utils import paths
from tis_utils.book.arguments import join_pairs
from tis_utils.book.parameters import check_parameters, find_notebook, read_values

FENCE = re.compile(r"^```bash\n(.*?)^```", re.M | re.S)
COMMAND = re.compile(r"^\s*(?:\S+=\S+ )*(?:\.venv/bin/)?tis (.*?)\s*(?:&\s*)?(?:\s#.*)?$")
YOURS = {"YOUR_TASK": "pairs", "YOUR,FIVE,SEEDS": "0,1", "$i/4": "0/4"}
SMALL = {"recheck_share": "0.001", "transfer_share": "0.001"}
QUICK = ("11",)
BIG = ("published", "book", "grade")  # the Hub; what other tests do


def texts() -> list[str]:
    pages = [*paths.BOOK.glob("*.md"), paths.ROOT / "README.md"]
    cells = [cell for path in paths.NOTEBOOKS.glob("*.ipynb") for cell in nbformat.read(path, as_version=4).cells]
    return [path.read_text(encoding="utf-8") for path in pages] + [c.source for c in cells if c.cell_type == "markdown"]


def commands() -> list[str]:
    """Words after `tis` of every line in a block of commands, each once."""
    lines = (
        line for text in texts() for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()
    )
    return sorted({match[1] for line in lines if (match := COMMAND.match(line))})


def words_of(command: str) -> list[str]:
    return [YOURS.get(word, word) for word in join_pairs(shlex.split(command))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What a reader has: a pool, a task, and a profile, here a very small one."""
    here = tmp_path_factory.mktemp("reader")
    for name, key, count in (("my_pool", "response", 40), ("my_task", "label", 12), ("held", "label", 6)):
        rows = [{"prompt": f"{name} {i}: what is {i} plus {i * 7}?", key: str(i * 8)} for i in range(count)]
        (here / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pool = pd.read_json(here / "my_pool.jsonl", lines=True, dtype={"response": str})
    pool.to_parquet(here / "my_pool.parquet")
    pool[:20].to_json(here / "a.jsonl.gz", orient="records", lines=True)
    pool[20:].to_json(here / "b.json", orient="records")
    tasks = pd.read_json(here / "my_task.jsonl", lines=True, dtype={"label": str})
    tasks.assign(task=["one", "two"] * 6).to_csv(here / "my_tasks.csv", index=False)
    settings = "extends: smoke\nname: my\nseeds: [0]\nbudgets: [5, 10]\ntasks: [words, pick]\n"
    (here / "my.yaml").write_text(settings, encoding="utf-8")
    new_cache(here / "cache")
    return here


def test_there_are_commands_of_every_kind() -> None:
    assert {command.split()[0] for command in commands()} >= {"run", "sweep", "select", "grid", "represent", "doctor"}


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("run ")])
def test_the_values_of_a_printed_command_are_right(command: str, folder: Path) -> None:
    words = words_of(command)
    pairs = [value for word, value in pairwise(words) if word == "-p"]
    path = find_notebook(words[1])
    given = read_values(path, pairs, folder=folder)
    check_parameters(path, given)
    assert not any(isinstance(value, str) and re.fullmatch(r"[-\d.,e]+", value) for value in given.values())


def small(command: str) -> list[str]:
    """The command with a small profile, small shares, two values of a list at most, and few examples."""
    words = words_of(command)
    result = []
    for word, before in zip(words, ["", *words], strict=False):
        name, equals, value = word.partition("=")
        if before in ("-p", "--parameter") and equals:
            word = f"{name}={SMALL.get(name) or ','.join(value.split(',')[:2]) if '[' not in value else value}"
        if before in ("--profile", "-P") and "--dry-run" not in words:
            word = "my.yaml"
        if before in ("-B", "--budget", "--tokens"):
            word = "300" if before == "--tokens" else "5"
        result.append(word)
    if (words[0] == "compare" or "ila" in words) and not {"-M", "--model"} & set(words):
        result += ["--model", "tiny"]  # by default a real language model: minutes
    result += ["-p", "n_problems=2"] if words[:2] == ["run", "05_bounds"] else []
    if words[0] in ("run", "sweep", "compare") and "--parameters" not in words and not {"--profile", "-P"} & set(words):
        result += ["--profile", "my.yaml"]
    return ["1" if before in ("--jobs", "-j") else word for word, before in zip(result, ["", *result], strict=False)]


def now_and_then(command: str) -> bool:
    """Whether a command takes most of a minute: a whole chapter, which other tests run under its own parameters."""
    words = command.split()
    return words[0] in ("run", "sweep") and "--parameters" not in words and not words[1].startswith(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in commands() if not set(BIG) & set(c.split())])
def test_a_printed_command_works(command: str, folder: Path, tmp_path: Path) -> None:
    if now_and_then(command) and not os.environ.get("TIS_EVERY_COMMAND"):
        pytest.skip("a whole chapter: `make commands` runs it")
    here = tmp_path / "reader"  # a folder each: they write files of the same names
    shutil.copytree(folder, here, ignore=shutil.ignore_patterns("cache"))
    variables = {"TIS_CACHE": str(folder / "cache"), "TQDM_DISABLE": "1", "PYTHONPATH": str(paths.ROOT)}
    done = tis(*small(command), folder=here, **variables)
    assert done.returncode == 0, f"tis {' '.join(small(command))}\n{done.stderr[-2000:]}"
