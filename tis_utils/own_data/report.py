"""One page on a selection: what was read, what was picked, what to beware of. No script, no network."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from tis_utils.examples.formats import FORMATS
from tis_utils.examples.text import Example, answer, one_line, request
from tis_utils.experiments.subset import CHOOSERS
from tis_utils.labels import label
from tis_utils.own_data.checks import units, warnings
from tis_utils.own_data.result import Selection
from tis_utils.storage.manifests import write_atomically

TEMPLATES = PackageLoader("tis_utils", "own_data")
SOURCES = 20  # rows of the table of sources
PAIRS = 10  # queries whose nearest picks are shown
QUANTILES = (10, 50, 90)


def report(result: Selection, path: Path) -> None:
    """Write the page, as HTML."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=TEMPLATES)
    page = environment.get_template("report.html").render(facts(result))
    write_atomically(path, page.encode("utf-8"))


def facts(result: Selection) -> dict[str, Any]:
    """Everything the page prints."""
    chosen = result.subset
    return {
        "settings": result.settings,
        "method": method(result.settings),
        "seconds": result.seconds,
        "count": {"pool": len(result.pool), "queries": len(result.queries), "subset": len(chosen)},
        "formats": {
            file: [(" and ".join(FORMATS[kind]), number) for kind, number in kinds.items()]
            for reading in (result.reading, result.targets)
            for file, kinds in reading.formats.items()
        },
        "remarks": result.remarks,
        "warnings": warnings(result),
        "sources": sources(result.pool, chosen, [source.stem for source in result.reading.sources]),
        "lengths": lengths(result.pool, chosen),
        "overlaps": [(label(name), np.isin(result.picks, other).mean()) for name, other in result.others.items()],
        "distance": result.distance,
        "draws": len(result.by_chance),
        "by_chance": (min(result.by_chance), max(result.by_chance)) if result.by_chance else None,
        "pairs": pairs(result),
        "comparison": result.comparison,
    }


def method(settings: Mapping[str, object]) -> str:
    """Selector and representation as the book writes them."""
    selector, representation = str(settings["selector"]), str(settings["representation"])
    alone = selector.partition("@")[0] in ("random", *CHOOSERS)
    return label(selector) if alone else f"{label(selector)} on {label(representation)}"


def sources(pool: Sequence[Example], chosen: Sequence[Example], stems: Sequence[str]) -> list[dict[str, Any]]:
    """Count and share (per cent) of every source in pool and subset, most picked first, the tail in one row.

    Candidates without a source have the name of their file as theirs, one of `stems`.
    """
    before, after = Counter(e.source for e in pool), Counter(e.source for e in chosen)
    names = sorted(before, key=lambda name: (-after[name], -before[name], name))
    groups = [(f"{name} (no source given)" if name in stems else name, [name]) for name in names[:SOURCES]]
    if len(names) > SOURCES:
        groups.append((f"{len(names) - SOURCES} other sources", names[SOURCES:]))
    rows = []
    for title, members in groups:
        counts = sum(before[m] for m in members), sum(after[m] for m in members)
        shares = 100 * counts[0] / len(pool), 100 * counts[1] / len(chosen)
        rows.append({"name": title, "pool": counts[0], "subset": counts[1], "shares": shares})
    return rows


def lengths(pool: Sequence[Example], chosen: Sequence[Example]) -> list[tuple[str, list[int]]]:
    """10 %, 50 % and 90 % quantiles of words in requests and answers, for pool and subset.

    In scripts without spaces a character is counted as a word.
    """
    rows = []
    for what, text in (("request", request), ("answer", answer)):
        for where, examples in (("pool", pool), ("subset", chosen)):
            counts = [len(units(text(e))) for e in examples]
            rows.append((f"{what}, {where}", [int(q) for q in np.percentile(counts, QUANTILES)]))
    return rows


def pairs(result: Selection) -> list[dict[str, Any]]:
    """Some queries, evenly spaced, with the picks nearest to and farthest from each."""
    if result.S is None:
        return []
    count = len(result.queries)
    shown = [i * count // min(count, PAIRS) for i in range(min(count, PAIRS))]
    rows = []
    for i in shown:
        own = result.S[i, result.picks]
        places = int(own.argmax()), int(own.argmin())
        near, far = (one_line(result.pool[result.picks[place]], 160) for place in places)
        similarity, least = (float(own[place]) for place in places)
        row = {"query": one_line(result.queries[i], 160), "near": near, "far": far}
        rows.append(row | {"similarity": similarity, "least": least})
    return rows
