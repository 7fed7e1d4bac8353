"""Sphinx extension: numbers, figure and table of chapters of the home page, computed when the book is rendered.

The page is written by hand. ``{{ name }}`` in any Markdown page is a number from :func:`numbers`; ``{tis-leads}`` draws
the paper's models, ``{tis-budgets}`` is a table of their scores by budget; ``{tis-chapters}`` takes lines
``file | question | models | level`` and adds what the executed notebook says: the first sentence of the cell tagged
``finding``, and the minutes to read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tis_utils import plots
from tis_utils.book.executed import finding, minutes, read_cells
from tis_utils.book.prose import say
from tis_utils.evidence import cube, published
from tis_utils.evidence.cube import Cube, lead_estimate
from tis_utils.evidence.published import EMBED, LESS, MODELS, RDS
from tis_utils.evidence.published_analysis import over_models, pairs_agreeing, published_cube
from tis_utils.evidence.recommendation import policy_table, share_below_untuned, strength_groups
from tis_utils.evidence.statistics import Estimate
from tis_utils.evidence.tables import RANDOM, ZERO_SHOT
from tis_utils.experiments.cost_estimate import plan
from tis_utils.experiments.grids import specs_of
from tis_utils.profiles import load_profile

ADVISED = (2500, 5000)  # examples: the budgets at which choosing pays most
COMPARED = {
    "LESS over Random": (LESS, RANDOM),
    "RDS+ over Random": (RDS, RANDOM),
    "LESS over the untuned model": (LESS, ZERO_SHOT),
    "Random over the untuned model": (RANDOM, ZERO_SHOT),
}
SAME_SCALE = ("codex", "tydiqa")  # tasks whose query and held-out losses score the same kind of words
METHODS = {EMBED: "embed", RDS: "rds", LESS: "less", ZERO_SHOT: "zero_shot"}
PANELS = {
    "query_loss": "Query loss: % lower",
    "test_loss": "Held-out loss: % lower",
    "downstream": "Score: points higher",
}
ALT = (
    "Three panels: how far EMBED, RDS+, LESS and the untuned model are ahead of randomly chosen examples at budgets "
    "500 to 10,000, by query loss, held-out loss and score, with bands. LESS is far ahead by query loss, "
    "behind Random by held-out loss, and a little ahead by score."
)
CAPTION = (
    "Lead over equally many random examples: mean over five models, five tasks and two pools of the paper, with 95 % "
    "intervals over the models. Up is better. The untuned model (zero-shot) was scored with other prompts: compare "
    "with it less strictly."
)


def numbers() -> dict[str, str]:
    """Numbers that Markdown pages may name, as text with unit and 95 % interval over the paper's five models."""
    score, query, new = (published_cube(metric) for metric in ("downstream", "query_loss", "test_loss"))
    advised = [score.budgets.index(budget) for budget in ADVISED]
    rules = policy_table("downstream").set_index("label")
    gains = score.gain(RANDOM)[..., score.methods.index(LESS), advised].mean(axis=3)  # (M, T, L)
    (strongest,) = strength_groups(score)["strong"]
    few, most = (score.mean[..., score.methods.index(m), s] for m, s in ((LESS, advised[0]), (RANDOM, -1)))
    date = published.independent_results().query("source == 'DATE-LM'").groupby("method")["value"].mean()
    paper = load_profile("paper")
    jobs = plan(paper, specs_of("budgets", paper)).query("job == 'features'")
    hours = jobs.set_index("representation")["device_hours"]
    return {
        "from_budget": f"{ADVISED[0]:,}",
        "to_budget": f"{ADVISED[-1]:,}",
        "least_budget": f"{score.budgets[0]:,}",
        "most_budget": f"{score.budgets[-1]:,}",
        "less_score": _text(score, advised),
        "less_over_rds": _text(score, advised, over=RDS),
        "rds_score": _text(score, advised, of=RDS),
        "embed_score": _text(score, advised, of=EMBED),
        "less_query": _text(query, plus=False),
        "less_new": _text(new),
        "less_new_same": _text(new.part(tasks=SAME_SCALE)),
        "settings_ahead": str(int((gains.mean(axis=1) > 0).sum())),
        "settings": str(gains.mean(axis=1).size),
        "cells_ahead": str(int((gains > 0).sum())),
        "cells": str(gains.size),
        "strongest": MODELS[strongest],
        "strongest_lead": say("{v:+.1f}", v=gains[score.models.index(strongest)].mean()).data,
        "like_more_random": _whole(over_models(few - most).text(1, "points")),
        "pairs": f"{100 * pairs_agreeing(query, score):.0f} %",
        "date_rds": say("{v:+.1f}", v=date["RDS+"] - date["Random"]).data,
        "date_less": say("{v:+.1f}", v=date["LESS"] - date["Random"]).data,
        "below_least": f"{100 * share_below_untuned().iloc[0]:.0f} %",
        "rule_score": _whole(Estimate(*rules.loc["Best, same task"]).text(1, "points")),
        "others_score": _whole(Estimate(*rules.loc["Best on others"]).text(1, "points")),
        "paper_pool": f"{paper.pool_size:,}",
        **{
            f"{name}_hours": f"{hours[name]:.1f}" if hours[name] > 0.1 else "under 0.1"
            for name in ("embed", "rds", "less")
        },
    }


def _text(
    data: Cube, at: list[int] | slice = slice(None), *, of: str = LESS, over: str = RANDOM, plus: bool = True
) -> str:
    return _whole(lead_estimate(data, over, of, at).text(1, "points" if data.is_score else "%", plus=plus))


def _whole(text: str) -> str:
    """With intervals that no line break divides."""
    return text.replace(", ", ",\N{NO-BREAK SPACE}")


def leads() -> dict[str, pd.DataFrame]:
    """Lead over Random by budget, one table per panel: columns budget, method, value, low, high."""
    tables = {}
    for metric, title in PANELS.items():
        table = cube.leads(published_cube(metric), RANDOM).replace({"method": METHODS})
        tables[title] = table[table["method"].isin(METHODS.values())]
    return tables


class Leads(SphinxDirective):
    """``{tis-leads}``: three panels, what selecting buys on the paper's models."""

    def run(self) -> list[nodes.Node]:
        """Draw."""
        figure = plots.method_lines(leads(), ylabel="ahead of Random", shared=False, reference=0, meaning="Random")
        return [nodes.raw("", plots.show(figure, ALT, caption=CAPTION)._repr_html_(), format="html")]


class Budgets(SphinxDirective):
    """``{tis-budgets}``: what choosing and fine-tuning buy at each budget, in points of score."""

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown; what is sure is bold."""
        score = published_cube("downstream")
        lines = ["| Examples | " + " | ".join(COMPARED) + " |", "| --: |" + " --: |" * len(COMPARED)]
        for s, budget in enumerate(score.budgets):
            estimates = [lead_estimate(score, over, method, [s]) for method, over in COMPARED.values()]
            texts = [_whole(e.text(1)) if e.low <= 0 <= e.high else f"**{_whole(e.text(1))}**" for e in estimates]
            lines.append(f"| {budget:,} | " + " | ".join(texts) + " |")
        return _parsed(self, lines, "tis-budgets")


class Chapters(SphinxDirective):
    """``{tis-chapters}``: a table of the chapters with their answers."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown and let the parser read it."""
        lines = [
            "| | Question | Answer in one line | Models | Minutes | Level |",
            "| --: | :-- | :-- | :-- | --: | :-: |",
        ]
        for line in filter(None, self.content):
            name, question, models, level = (part.strip() for part in line.split("|"))
            path = Path(self.env.srcdir, "chapters", f"{name}.ipynb")
            self.env.note_dependency(str(path))
            cells = read_cells(path)
            answer = finding(cells).replace("|", r"\|")
            link = f"{int(name[:2])} | [{question}](chapters/{name})"
            lines.append(f"| {link} | {answer} | {models} | {minutes(cells)} | {level} |")
        return _parsed(self, lines, "tis-chapters")


def _parsed(directive: SphinxDirective, lines: list[str], name: str) -> list[nodes.Node]:
    holder = nodes.container(classes=[name])
    directive.state.nested_parse(StringList(lines, directive.env.docname), directive.content_offset, holder)
    return [holder]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("tis-leads", Leads)
    app.add_directive("tis-budgets", Budgets)
    app.add_directive("tis-chapters", Chapters)
    app.connect("config-inited", lambda _, config: config.myst_substitutions.update(numbers()))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
