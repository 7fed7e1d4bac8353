"""The decision page holds every answer and needs no network."""

from __future__ import annotations

import html
import itertools
import json
import re

from tis_utils.book.decision_page import DecisionPage
from tis_utils.evidence.published_analysis import method_name
from tis_utils.evidence.recommendation import COMPUTE, answers
from tis_utils.evidence.tables import ZERO_SHOT


def test_the_page_is_static_and_complete() -> None:
    page = DecisionPage(answers())._repr_html_()
    assert "http" not in page
    payload = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert payload is not None
    data = json.loads(payload[1])
    menus = [re.findall(r'<option value="([^"]+)"', menu) for menu in re.findall(r"<select>(.*?)</select>", page)]
    assert [len(m) for m in menus] == [3, 4, 6, 5, 3]
    for *question, compute in itertools.product(*menus):
        entry = data["|".join(question)]
        headline, reason, pick, count = entry["answers"][compute]
        assert headline and reason  # noqa: PT018
        shown = [row[0] for row in entry["rows"][:count]]
        assert shown == [method_name(m) for m in (ZERO_SHOT, *COMPUTE[compute][1])]
        assert pick in shown
    first = [
        re.search(r'<option value="([^"]+)" selected>', menu)[1] for menu in re.findall(r"<select>(.*?)</select>", page)
    ]
    assert first[-1] == "gradients"  # all methods in view
    assert html.escape(data["|".join(first[:-1])]["answers"]["gradients"][0]) in page
    assert page.count('aria-live="polite"') + page.count('role="status"') >= 1
