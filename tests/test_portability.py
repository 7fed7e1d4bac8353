"""The package on other systems: encodings, Unix-only calls, file names, terminals. Read from the code, and tried."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tis_utils.errors import InputError
from tis_utils.models import permission

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for folder in ("tis_utils", "data") for path in (ROOT / folder).rglob("*.py"))
UNIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
UNIX_CALLS = {
    "os.fork", "os.forkpty", "os.getuid", "os.geteuid", "os.getgid", "os.killpg", "os.setsid", "os.statvfs", "os.uname",
    "os.chown", "os.mkfifo", "os.nice", "os.sched_getaffinity", "os.sched_setaffinity", "os.getloadavg", "os.symlink",
    "signal.alarm", "signal.setitimer", "signal.SIGKILL", "signal.SIGALRM", "signal.SIGHUP", "signal.SIGUSR1",
    "time.tzset",
}  # fmt: skip
TEXT_WITHOUT = "opens a text without naming its encoding"


def guarded(tree: ast.AST) -> set[ast.AST]:
    """Imports whose absence is expected."""
    tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    expected = [t for t in tries if any(h.type and ast.unparse(h.type) == "ImportError" for h in t.handlers)]
    return {node for one in expected for node in one.body}


def faults(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    fine = guarded(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in fine:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"imports {name}" for name in names if name.split(".")[0] in UNIX_MODULES)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in UNIX_CALLS:
            yield f"uses {ast.unparse(node)}"
        if isinstance(node, ast.Call):
            yield from encodings(node)


def encodings(call: ast.Call) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    words = {word.arg for word in call.keywords}
    if name in ("read_text", "write_text") and "encoding" not in words and len(call.args) < 1 + (name == "write_text"):
        yield f"line {call.lineno} {TEXT_WITHOUT}"
    if name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile") and "encoding" not in words:
        place = 0 if isinstance(call.func, ast.Attribute) and name == "open" else 1
        given = [word.value for word in call.keywords if word.arg == "mode"] + call.args[place : place + 1]
        mode = given[0].value if given and isinstance(given[0], ast.Constant) else "r"
        if "b" not in str(mode) and ast.unparse(call.func) != "Image.open":
            yield f"line {call.lineno} {TEXT_WITHOUT}"
    if name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & words and "encoding" not in words:
        yield f"line {call.lineno} {TEXT_WITHOUT}"


def test_the_package_names_encodings_and_calls_nothing_that_only_unix_has() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in SOURCES}
    assert {name: problems for name, source in sources.items() if (problems := list(faults(source)))} == {}


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("open('x')", True), ("open('x', 'w')", True), ("open('x', 'rb')", False),
        ("open('x', encoding='utf-8')", False),
        ("p.open()", True), ("p.open('w')", True), ("p.open('wb')", False), ("p.open(mode='rb')", False),
        ("p.read_text()", True), ("p.read_text('utf-8')", False), ("p.write_text(t)", True),
        ("p.write_text(t, encoding='utf-8')", False), ("import fcntl", True),
        ("try:\n import fcntl\nexcept ImportError: pass", False), ("from resource import x", True),
        ("os.fork()", True), ("signal.SIGKILL", True), ("subprocess.run(x, text=True)", True),
        ("import os, signal", False),
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source: str, bad: bool) -> None:
    assert bool(list(faults(source))) is bad


def test_every_module_is_python_3_11() -> None:
    for path in SOURCES:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 11))


def test_tracked_files_have_names_for_every_system() -> None:
    """No characters that Windows forbids, no reserved names, no two names that differ in capitals only."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    names = [name for name in done.stdout.split("\0") if name]
    assert not [name for name in names if set(name) & set('<>:"\\|?*') or not name.isascii()]
    assert max(map(len, names)) < 120
    assert len({name.lower() for name in names}) == len(names)
    stems = {part.split(".")[0].lower() for name in names for part in name.split("/")}
    assert not stems & {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_terminals_that_lack_characters(encoding: str) -> None:
    for words, code in ((("represent", "--help"), 0), (("grid", "none…≤"), 2)):
        command = [sys.executable, "-c", "from tis_utils.cli import main; main()", *words]
        plain = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, capture_output=True, check=False, env=plain)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr


SELECT = """
import sys, warnings
seen = []
warnings.showwarning = lambda message, category, file, line, *rest: seen.append(f"{file}:{line} {category.__name__}")
warnings.simplefilter("always", EncodingWarning)
from tis_utils.cli import main
try:
    main()
finally:
    print([place for place in seen if "EncodingWarning" in place and "tis_utils" in place], file=sys.stderr)
"""


@pytest.mark.slow
def test_nothing_is_read_in_the_encoding_of_the_system(tmp_path: Path) -> None:
    """Texts of all kinds of letters are selected where the system's encoding is ASCII; Python warns of each use."""
    text = '{"prompt": "Grüße, Ωμέγα, 你好 \U0001f600", "response": "ça va"}\n'
    (tmp_path / "pool.jsonl").write_text(text * 3, encoding="utf-8")
    words = ["select", "--pool", str(tmp_path / "pool.jsonl"), "-S", "random", "-B", "2", "-P", "smoke"]
    output = str(tmp_path / "out" / "é.jsonl")
    command = [sys.executable, "-X", "warn_default_encoding", "-c", SELECT, *words, "-o", output]
    ascii_only = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    plain = {**os.environ, **ascii_only, "TIS_CACHE": str(tmp_path / "c")}
    done = subprocess.run(command, capture_output=True, check=False, env=plain)
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode("ascii", "replace").strip().splitlines()[-1] == "[]"
    assert (tmp_path / "out" / "é.jsonl").read_text(encoding="utf-8") == text * 2
    assert "Ωμέγα" not in (tmp_path / "out" / "é.csv").read_text(encoding="utf-8")


def test_a_system_without_timers_says_so(monkeypatch) -> None:
    monkeypatch.setenv(permission.VARIABLE, "1")
    permission.insist("pass@1")
    monkeypatch.delattr(permission.signal, "setitimer")
    with pytest.raises(InputError, match=r"pass@1 needs the timers of Linux or macOS"):
        permission.insist("pass@1")
    permission.insist("exact_match")
