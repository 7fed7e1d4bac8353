"""The selection playground: scenes packed for a page (``book/_static/playground.js``) that only replays them."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from tis_utils import paths
from tis_utils.book.playground.maps import budget_grid
from tis_utils.book.playground.scenes import Scene, Space, Texts, scene
from tis_utils.errors import InputError, RunError
from tis_utils.examples.kinds import view
from tis_utils.examples.text import Example, one_line
from tis_utils.experiments.study import Study
from tis_utils.labels import label
from tis_utils.plots.display import Picture
from tis_utils.plots.theme import look
from tis_utils.representations import REPRESENTATIONS
from tis_utils.storage.manifests import write_atomically

log = logging.getLogger(__name__)

TEMPLATES = PackageLoader("tis_utils", "book/playground")
TOUR = {"label", "ask", "scene", "task", "space", "method", "budget"}


def from_study(
    study: Study,
    kind: Callable[[Example, str], str],
    *,
    representations: Sequence[str],
    plain: str = "filler",
    **options: Any,
) -> Scene:
    """Make a scene of a study's pool, query sets and features; ``kind(example, task)`` is what the page shows."""
    pool, tasks = study.data.pool, study.profile.tasks
    texts = Texts(
        candidates=[one_line(e) for e in pool],
        sources=[e.source for e in pool],
        kinds={task: [kind(e, task) for e in pool] for task in tasks},
        queries={task: [one_line(q, 160) for q in study.data.queries[task]] for task in tasks},
        plain=plain,
    )
    spaces = {name: Space(*study.features(name)) for name in representations}
    return scene(spaces=spaces, texts=texts, **options)


def pool_scene(
    study: Study, title: str, about: str, *, largest: int | None = None, plain: str = "unrelated", **options: Any
) -> Scene | None:
    """Scene of a study's pool in every representation whose features can be had; None where there is none.

    Parameters
    ----------
    study : Study
    title, about : str
        Printed name, and a sentence on the pool; ``{candidates}`` is their number.
    largest : int, optional
        End of the slider; by default twice the largest budget of the profile.
    plain : str
        The kind that is drawn grey.
    **options
        Handed to :func:`scene`: methods, seeds.
    """
    spaces = []
    for name in REPRESENTATIONS:
        try:
            study.features(name)
            spaces.append(name)
        except RunError as missing:
            log.warning("%s without %s: %s", title, label(name), missing)
    if not spaces:
        return None
    budgets, size = study.profile.budgets, len(study.data.pool)
    options |= {"name": study.profile.name, "title": title, "about": about.format(candidates=size)}
    options["budgets"] = budget_grid(min(largest or 2 * max(budgets), size), budgets)
    return from_study(study, _kind, representations=spaces, plain=plain, **options)


def _kind(example: Example, task: str) -> str:
    name = view(example, task)
    return "unrelated" if name in ("filler", "other skills") else name


def tours(scenes: Sequence[Scene], stops: Sequence[tuple[str, str, str, str, str, int, str]]) -> list[dict[str, Any]]:
    """Settings worth a visit: (label, scene, space, task, method, budget, question), at the nearest budget there is."""
    budgets = {part["id"]: part["budgets"] for part in scenes}
    return [
        {"label": name, "scene": scene, "space": space, "task": task, "method": method, "ask": ask}
        | {"budget": min(budgets[scene], key=lambda b: abs(b - budget))}
        for name, scene, space, task, method, budget, ask in stops
    ]


def payload(scenes: Sequence[Scene], tours: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Join scenes; add how methods look and settings worth a visit.

    Parameters
    ----------
    scenes : sequence of dict
        From :func:`scene`.
    tours : sequence of mapping
        From :func:`tours`.

    Raises
    ------
    InputError
        If two scenes share a name, there is none, or a tour leads nowhere.
    """
    known = {s["id"]: s for s in scenes}
    if not scenes or len(known) != len(scenes):
        raise InputError("The playground needs at least one scene, and every scene a name of its own.")
    for tour in tours:
        if missing := TOUR - set(tour):
            raise InputError(f"The tour {dict(tour)} lacks: {', '.join(sorted(missing))}.")
        target = known.get(tour["scene"], {"cells": {}, "budgets": []})
        cell = target["cells"].get(f"{tour['space']}/{tour['task']}", {"methods": {}})
        if tour["method"] not in cell["methods"] or tour["budget"] not in target["budgets"]:
            raise InputError(f"The tour {tour['label']!r} leads to a setting that is on no scene's list: {dict(tour)}.")
    methods = list(dict.fromkeys(m for s in scenes for m in s["methods"]))
    return {"methods": [_look(m) for m in methods], "scenes": list(scenes), "tours": [dict(t) for t in tours]}


def _look(method: str) -> dict[str, str]:
    entry, remark = look(method), method.partition(":")[2]
    return {"id": method, "label": entry.label, "remark": remark.strip(), "colour": entry.colour}


def as_json(data: Mapping[str, Any]) -> str:
    """Write compact JSON that cannot end the script element it stands in, whatever the texts hold."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@dataclass(frozen=True)
class Playground:
    """The playground as the last expression of a cell.

    Parameters
    ----------
    data : dict
        From :func:`payload`.
    still : Picture
        One setting as a picture: what is seen without JavaScript, and in a live Jupyter.
    """

    data: dict[str, Any] = field(repr=False)
    still: Picture

    def _repr_html_(self) -> str:
        return _render("figure.html", still=self.still._repr_html_(), data=as_json(self.data))

    def save(self, path: str | Path, title: str = "Selection playground") -> Path:
        """Write the playground as one file, ``….html``, that any browser opens, without server or network."""
        target = Path(path)
        if target.suffix != ".html":
            raise InputError(f"The playground is saved as one web page: {target.name!r} should end in .html.")
        parts = {
            kind: (paths.BOOK / "_static" / f"playground.{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
        }
        page = _render("page.html", title=title, figure=self._repr_html_(), **parts)
        write_atomically(target, page.encode("utf-8"))
        return target


def _render(template: str, **parts: str) -> str:
    environment = Environment(autoescape=True, loader=TEMPLATES)
    return environment.get_template(template).render(parts)
