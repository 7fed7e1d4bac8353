"""Small pieces that several test modules share."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tis_utils import paths
from tis_utils.examples.text import Example, Query, chat_prompt

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(  # what others wrote and takes seconds to import; ours is imported anew by every command
    ["datasets", "ot", "pandas", "peft", "reasoning_gym", "scipy.stats", "sentence_transformers", "sklearn.cluster",
     "sklearn.feature_extraction.text", "sklearn.manifold", "transformers.trainer"]
)  # fmt: skip


def tis(*words: str, folder: Path = paths.ROOT, **variables: str) -> CompletedProcess[str]:
    """The command line in a process of its own and in a folder; the variables are added to those of this process."""
    with tempfile.TemporaryDirectory() as scratch:
        streams = [Path(scratch) / name for name in ("stdout", "stderr")]
        process = FORKS.Process(target=_command, args=(words, folder, os.environ | variables, streams))
        process.start()
        try:
            process.join()
        finally:  # a test that takes too long leaves nothing behind
            process.kill()
        return CompletedProcess(words, process.exitcode or 0, *(path.read_text(encoding="utf-8") for path in streams))


def _command(words: Sequence[str], folder: Path, variables: Mapping[str, str], streams: Sequence[Path]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.argv = ["tis", *words]
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    from tis_utils.cli import main

    code = 1
    try:
        main()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    for worker in multiprocessing.active_children():  # a command started by a shell ends its workers as Python ends
        worker.terminate()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a forked Python would first wait for the threads that watch those workers


def new_cache(folder: Path) -> str:
    """A cache with nothing but weights unpacked before: that takes most of a minute, and they have a fingerprint."""
    folder.mkdir()
    models = paths.cache_root() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(models.resolve())
    return str(folder)


def extension(name: str) -> ModuleType:
    """A Sphinx extension of the book as a module."""
    spec = importlib.util.spec_from_file_location(name, paths.BOOK / "_ext" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, plus end-of-sequence and padding: nothing merges, so every count is predictable."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*alphabet, "<eos>", "<pad>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")


def example(answer: str, *, prompt: str = "say it", name: str = "e0") -> Example:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return Example(name, messages, "test")


def query(answer: str, *, prompt: str = "say it", name: str = "q0") -> Query:
    return Query(name, chat_prompt(prompt), answer, "test")


def notebook(path: Path, *cells: str, tags: tuple[str, ...] = ("parameters",)) -> Path:
    """Write a notebook with four parameters and the given cells of code."""
    parameters = 'profile = "smoke"\nbudgets = None\ntasks = None\nword = "a"'
    first = new_code_cell(parameters, metadata={"tags": list(tags)})
    rest = [new_code_cell(source) for source in cells]
    book = new_notebook(cells=[new_markdown_cell("# Title"), first, *rest])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)
    return path
