"""The home page: its numbers are the published ones, its sentences hold, every chapter has an answer there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests_support import extension
from tis_utils.book.parameters import chapters
from tis_utils.book.prose import BOX
from tis_utils.evidence import MODELS, published_figures
from tis_utils.evidence.published_analysis import published_cube

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home() -> ModuleType:
    return extension("tis_home")


@pytest.fixture(scope="module")
def score() -> dict[tuple[str, str], np.ndarray]:
    """Mean score over seeds of (representation, selector), from the rows: (model, task, pool) × budget."""
    rows = published_figures()
    rows = rows[rows["metric"] == "downstream"].assign(budget=rows["budget"].fillna(0))
    tables = {}
    for pair, part in rows[rows["experiment"].isin(["budget", "zero_shot"])].groupby(["representation", "selector"]):
        wide = part.pivot_table(index=["model", "task", "pool"], columns="budget", values="mean")
        tables[pair] = wide.sort_index()
    return tables


def first(text: str) -> float:
    found = re.match(r"[−+]?\d+(\.\d+)?", text)
    assert found, text
    return float(found[0].replace("−", "-"))


def test_the_numbers_are_those_of_the_published_rows(home, score):
    numbers, late = home.numbers(), [2500, 5000]
    random = score["none", "random"]
    ahead = score["less", "round_robin"][late] - random[late]
    assert first(numbers["less_score"]) == pytest.approx(ahead.to_numpy().mean(), abs=0.051)
    settings = ahead.mean(axis=1).groupby(["model", "pool"]).mean()  # over tasks
    assert (numbers["settings_ahead"], numbers["settings"]) == (str((settings > 0).sum()), str(len(settings)))
    cells = ahead.mean(axis=1)
    assert (numbers["cells_ahead"], numbers["cells"]) == (str((cells > 0).sum()), str(len(cells)))
    strongest = score["none", "none"].groupby("model").mean().squeeze().idxmax()
    assert numbers["strongest"] == MODELS[strongest]
    assert first(numbers["strongest_lead"]) == pytest.approx(cells.xs(strongest, level="model").mean(), abs=0.051)
    random_at_most = random[10000]
    saved = score["less", "round_robin"][2500] - random_at_most
    assert first(numbers["like_more_random"]) == pytest.approx(saved.mean(), abs=0.051)


def test_the_sentences_of_the_home_page_hold(home, score):
    """What the prose says beside the numbers: which is larger, what is sure, what is not."""
    untuned = score["none", "none"].to_numpy().mean()
    assert all(table[500].mean() < untuned for pair, table in score.items() if pair != ("none", "none"))
    numbers = home.numbers()
    low = {name: re.findall(r"\[(\S+),", text)[0].replace("−", "-") for name, text in numbers.items() if "[" in text}
    assert float(low["less_score"]) > 0
    leads = (score["less", "round_robin"] - score["none", "random"]).mean()
    assert set(leads.nlargest(2).index) == {2500, 5000}
    assert leads[10000] < leads[2500]
    assert score["none", "random"][10000].mean() > untuned
    assert abs(first(numbers["like_more_random"])) < 0.5
    assert abs(first(numbers["strongest_lead"])) < 0.5
    assert float(low["less_query"]) > 0
    assert float(low["less_new_same"]) > 0
    assert float(low["rule_score"]) > 0 > first(numbers["date_less"])
    assert 50 < first(numbers["pairs"]) < 60
    assert float(low["less_over_rds"]) < 0 < first(numbers["less_over_rds"]) < 1
    assert float(numbers["rds_hours"]) < float(numbers["less_hours"]) / 4
    assert first(numbers["less_new"]) < 0
    assert float(low["less_new"]) < 0


def test_the_panels_hold_every_method_at_every_budget(home):
    tables = home.leads()
    assert list(tables) == list(home.PANELS.values())
    for metric, table in zip(home.PANELS, tables.values(), strict=True):
        assert len(table) == 4 * len(published_cube(metric).budgets)
        assert (table["low"] < table["value"]).all()
        assert (table["value"] < table["high"]).all()


def cell(markdown: str, tags: list[str]) -> dict:
    return {"metadata": {"tags": tags}, "source": "", "outputs": [{"data": {"text/markdown": markdown}}]}


def test_the_answer_is_the_first_sentence_of_the_finding(home):
    long = "LESS is ahead of Random by 3.5 % of the held-out loss,\nin 4 of 4 tasks."
    cells = [cell("Not this.", []), cell(f"{long} It costs more.", ["finding"])]
    assert home.finding(cells) == long.replace("\n", " ")
    assert (
        home.finding([cell("It does. LESS wins by a mile.\nMore.", ["finding"])])
        == "It does. LESS wins by a mile. More."
    )
    listed = cell("1. One list answers all budgets, and nearer is not always better at all.\n2. No.", ["finding"])
    assert home.finding([listed]) == "One list answers all budgets, and nearer is not always better at all."
    assert "does not hold" in home.finding([cell(f"{BOX}\n> Never.", ["finding"])])
    assert home.finding([]) == ""


@pytest.mark.browser
def test_every_chapter_has_its_answer_and_its_minutes_on_the_home_page(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    table = page[page.index('class="tis-chapters') :]
    rows = [
        re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in table[: table.index("</table>")].split("<tr")[2:]
    ]
    notebooks = chapters()
    assert len(rows) == len(notebooks)
    for notebook, (number, question, answer, _, minutes, _) in zip(notebooks, rows, strict=True):
        assert int(re.sub("<[^>]*>", "", number)) == int(notebook.name[:2])
        assert notebook.stem in question
        assert len(re.sub("<[^>]*>", "", answer)) > 20, notebook.name
        assert re.search(r"\d", minutes), notebook.name
    tagged = [
        sum("finding" in cell["metadata"].get("tags", []) for cell in json.loads(notebook.read_text())["cells"])
        for notebook in notebooks
    ]
    assert set(tagged) == {1}
