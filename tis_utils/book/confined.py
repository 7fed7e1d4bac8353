"""Run a notebook that nobody has read: in a process of its own that is shut in, with limits on time and memory.

Shut in means, on Linux with util-linux: no network, no other processes in sight, no secrets in its environment,
nothing that it can write but a temporary folder in memory. Elsewhere only notebooks of ours are run, see
:func:`can_shut_in`.
"""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient, exceptions
from nbformat import NotebookNode

from tis_utils.book import limits

SHUT = ("unshare", "--map-root-user", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
# Every mount becomes read-only, sockets of services are hidden, then all rights to change mounts are given up.
SCRIPT = """
set -e
work=$1 cache=$2 ours=$3; shift 3
while read -r _ _ _ _ at _; do
  mount -o remount,bind,ro "$(printf %b "$at")" 2>/dev/null || :
done < /proc/self/mountinfo
mount -t tmpfs -o size=2g tmpfs "$work"
if [ "$ours" = 1 ]; then
  mkdir "$work/cache"; mount --bind "$cache" "$work/cache"; mount -o remount,bind,rw "$work/cache"
else
  cp -r "$cache" "$work/cache"
fi
for folder in /run /var/run /dev/shm; do
  if [ -d "$folder" ] && [ ! -L "$folder" ]; then mount -t tmpfs -o size=2g tmpfs "$folder"; fi
done
cd "$work"
exec setpriv --no-new-privs --bounding-set=-all "$@"
"""
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "TIS_ROOT", "OMP_NUM_THREADS", "SYSTEMROOT")
GRACE = 60  # seconds to start, and to write what there is
LARGEST = 2**30  # bytes of a file
ANSWER = 2**26  # bytes of a notebook with its outputs
MEMORY = ("MemoryError", "can't allocate memory", "Cannot allocate memory")


@dataclass(frozen=True)
class Outcome:
    """A notebook with the outputs it had when it ended, and in words why that was too early ("" where it was not)."""

    notebook: NotebookNode
    stopped: str


@functools.cache
def can_shut_in() -> bool:
    """Whether this system lets a process be cut off from the network and from files it must not change."""
    if not all(map(shutil.which, ("unshare", "setpriv", "mount"))):
        return False
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory() as cache:
        trial = ("sh", "-c", 'touch here && ! touch "$1"', "sh", f"{cache}/x")
        command = [*_shut_in(work, Path(cache), ours=False), *trial]
        return subprocess.run(command, capture_output=True, check=False, cwd=work).returncode == 0


def _shut_in(work: str, cache: Path, *, ours: bool) -> list[str]:
    return [*SHUT, "sh", "-c", SCRIPT, "sh", work, str(cache), str(int(ours))]


def run_confined(notebook: NotebookNode, *, minutes: float, gib: float, cache: Path, ours: bool) -> Outcome:
    """Run a notebook cell by cell until one fails or a limit is reached.

    Parameters
    ----------
    notebook : NotebookNode
        Stays as it is.
    minutes, gib : float
        Limits on the whole run, and on the memory of each of its processes (where a process can be shut in).
    cache : Path
        Folder of results: used in place by a notebook of `ours`, by others as a copy.
    ours : bool
        Whether its code is the book's; if not, it is run only where :func:`can_shut_in`.
    """
    closed = can_shut_in()
    if not closed and not ours:
        return Outcome(notebook, "not run: this system cannot shut it in (Linux with unshare and setpriv can)")
    cache = cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tis-") as work, tempfile.TemporaryFile(mode="w+b") as result:
        command = _shut_in(work, cache, ours=ours) if closed else []
        command += [sys.executable, "-m", "tis_utils.book.confined", str(60 * minutes), str(gib if closed else 0)]
        own = {"TIS_CACHE": str(Path(work, "cache") if closed else cache)}
        own |= dict.fromkeys(("HOME", "TMPDIR", "JUPYTER_RUNTIME_DIR"), work)
        streams: dict[str, Any] = {"stdout": result, "stderr": subprocess.DEVNULL}
        streams["input"] = nbformat.writes(notebook).encode("utf-8")
        end = 60 * minutes + GRACE
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, check=False, cwd=work, env=_environment() | own, timeout=end, **streams)
        result.seek(0)
        return _outcome(notebook, result.read(ANSWER))


def _environment() -> dict[str, str]:
    """Variables without which nothing starts; no other one is handed on, it could be a password."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    quiet = {"TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
    return kept | quiet


def _outcome(notebook: NotebookNode, result: bytes) -> Outcome:
    """What the process wrote; a notebook that tampers with that gains nothing, its cells are compared with ours."""
    try:
        answer = json.loads(result)
        ran, stopped = nbformat.from_dict(answer["notebook"]), str(answer["stopped"])
        nbformat.validate(ran)
    except (ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError):
        return Outcome(notebook, "its process ended without a result, as happens when memory runs out")
    return Outcome(ran, stopped)


def _main(seconds: float, gib: float) -> None:
    """In the process that is shut in: notebook from standard input, outcome as JSON to standard output."""
    if limits.resource and gib:
        limits.limit(gib)
        limits.resource.setrlimit(limits.resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
    answer = os.dup(1)
    os.dup2(2, 1)
    notebook = nbformat.reads(sys.stdin.read(), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    stopped = _execute(notebook, time.monotonic() + seconds)
    with os.fdopen(answer, "w", encoding="utf-8") as stream:
        json.dump({"notebook": notebook, "stopped": stopped}, stream)


def _execute(notebook: NotebookNode, end: float) -> str:
    """Run the cells in place until `end`; why it stopped, or nothing."""
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(Path.cwd())}})
    if sys.platform != "win32":
        client.create_kernel_manager().transport = "ipc"  # where there is no network, there is no localhost
    stopped = "its Python process did not start"
    with contextlib.suppress(exceptions.DeadKernelError, RuntimeError), client.setup_kernel():
        stopped = ""
        for place, cell in enumerate(notebook.cells):
            client.timeout = max(1, round(end - time.monotonic()))
            if stopped := _stopped(client, cell, place):
                break
    return stopped


def _stopped(client: NotebookClient, cell: NotebookNode, place: int) -> str:
    try:
        client.execute_cell(cell, place)
    except exceptions.CellTimeoutError:
        reason = "was not done when the time was up"
    except exceptions.DeadKernelError:
        reason = "ended its process, as happens when memory runs out"
    except exceptions.CellExecutionError as error:
        memory = any(words in f"{error.ename} {error.evalue}" for words in MEMORY)
        reason = "needed more memory than it may have" if memory else f"failed with {error.ename}: {error.evalue}"
    except Exception as error:  # a message of the kernel that nbclient cannot read is an answer too
        reason = f"failed with {type(error).__name__}: {error}"
    else:
        return ""
    return f"cell {place + 1} {' '.join(reason.split()):.200}"


if __name__ == "__main__":
    _main(*map(float, sys.argv[1:]))
