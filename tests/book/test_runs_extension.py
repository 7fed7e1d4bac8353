"""The extension that says what ran: commands, launch buttons, run times."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests_support import extension
from tis_utils.storage.keys import versions

BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.fixture(scope="module")
def runs() -> ModuleType:
    return extension("tis_runs")


def notebook(text: str) -> dict:
    """An executed notebook with one cell of text."""
    cell = {"cell_type": "markdown", "metadata": {}, "source": [text]}
    return {"cells": [cell], "metadata": {"parameters": {"profile": "smoke", "budgets": [25, 50]}}}


def test_the_box_comes_first_in_its_section(runs):
    page = notebook("## Take-away\n\n1. x\n\n## Try other parameters\n\n```bash\ntis run 06 -p tasks pick\n```\n")
    assert runs.add_rerun_box(page, "06_budgets")
    text = page["cells"][0]["source"]
    assert "tis run 06_budgets --profile smoke -p budgets 25,50\n" in text
    assert text.index("## Try other") < text.index("Re-run this page") < text.index("-p tasks pick")
    assert "Colab" not in text
    assert not runs.add_rerun_box(notebook("## Take-away\n"), "06_budgets")


def test_colab_is_told_what_to_install_only_where_it_can_open_the_page(runs):
    for address, offered in (("https://github.com/a/b", True), ("https://gitlab.com/a/b", False), ("", False)):
        assert ("git clone" in runs.rerun_box("06", {}, address)) is offered


def test_one_address_switches_on_the_launch_buttons(runs):
    for address, keys in (
        ("https://github.com/a/b", {"thebe", "binderhub_url", "colab_url"}),
        ("https://gitlab.com/a/b", {"thebe", "binderhub_url"}),
        ("", {"thebe"}),
    ):
        options = {"repository_url": address, "launch_buttons": {"thebe": False}}
        runs.on_config(None, SimpleNamespace(html_theme_options=options))
        assert set(options["launch_buttons"]) == keys


def test_the_buttons_open_the_clean_notebook(runs):
    button = {"url": "https://x/blob/main/chapters/06_budgets.ipynb"}
    context = {"header_buttons": [{"label": "other"}, {"label": "launch-buttons", "buttons": [button]}]}
    runs.on_page(None, "chapters/06_budgets", "", context, None)
    assert button["url"] == "https://x/blob/main/notebooks/06_budgets.ipynb"
    assert (BOOK.parent / "notebooks").is_dir()


def test_durations(runs):
    told = {9.4: "9 s", 59.6: "1 min 00 s", 106.4: "1 min 46 s", 3963: "1 h 06 min"}
    assert {s: runs.duration(s).replace("\N{NO-BREAK SPACE}", " ") for s in told} == told


def record(folder: Path, name: str, seconds: float, torch: str) -> None:
    (folder / f"{name}.ipynb").write_text("{}")
    facts = {
        "seconds": seconds,
        "key": {"parameters": {"profile": "smoke"}},
        "environment": {
            "torch": torch,
            "python": "3.11",
            "processors": "2",
            "processor": "Some CPU",
            "machine": "x86_64",
        },
    }
    (folder / f"{name}.json").write_text(json.dumps(facts))


def test_the_status_table_names_every_chapter_and_each_environment_once(runs, tmp_path):
    record(tmp_path, "00_a", 5, "2.13")
    record(tmp_path, "01_b", 65, "2.13")
    record(tmp_path, "02_c", 7, "2.12")
    (tmp_path / "03_d.ipynb").write_text("{}")
    lines = runs.chapter_table(tmp_path)
    rows = [line for line in lines if line.startswith("| [")]
    names = ("00_a", "01_b", "02_c", "03_d")
    assert [row.split(" | ")[0] for row in rows] == [f"| [](chapters/{name}.ipynb)" for name in names]
    assert [row.split("|")[4].strip() for row in rows] == ["1", "1", "2", ""]
    assert "no record" in rows[3]
    assert [line for line in lines if line[:2] in ("1.", "2.", "3.")] == [
        "1. 2 cores (Some CPU, x86_64); Python 3.11, torch 2.13",
        "2. 2 cores (Some CPU, x86_64); Python 3.11, torch 2.12",
    ]


def test_every_stored_result_is_listed(runs):
    results = BOOK.parent / "data" / "results"
    lines = runs.stored_table(results)
    assert len(lines) - 3 == len(list(results.glob("*/*.json"))) > 0
    assert next(line for line in lines if line.startswith("| `budgets` | `classroom`")).split("|")[3].endswith(" runs ")


def test_repeatability_is_told_as_measured(runs, tmp_path):
    assert "not measured" in runs.repeatability_table(tmp_path)[0]
    (tmp_path / "classroom").mkdir()
    rows = "two threads,less,0.0,1.0,0.0,True\nolder,rds,1.2e-06,0.961,3.4e-05,False\n"
    header = "condition,representation,similarity,jaccard,loss,identical\n"
    (tmp_path / "classroom" / "repeatability.csv").write_text(header + rows)
    assert runs.repeatability_table(tmp_path)[2:4] == [
        "| two threads | LESS | 0 | 1.00 | 0 | yes |",
        "| older | RDS+ | 1e−06 | 0.96 | 3e−05 | no |",
    ]
    for changed, said in (({}, False), ({"rds": 0}, True)):
        key = {"features": {"rds": {"versions": versions("rds") | changed}, "less": {"versions": versions("less")}}}
        (tmp_path / "classroom" / "repeatability.json").write_text(json.dumps({"key": key}))
        assert ("before the last change of RDS+;" in " ".join(runs.repeatability_table(tmp_path))) is said
