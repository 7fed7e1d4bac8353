"""Accessibility by the rules of axe-core: WCAG 2 A and AA, every page, wide and light, then narrow and dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

# Layout depends on the width and colours on the scheme, so two of the four combinations meet every rule twice.
# Inside formulas and interactive figures there is nothing but shapes: their containers carry the names.
RUN = """async () => {
  document.getAnimations().forEach((animation) => animation.finish());
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const page = { exclude: [["mjx-container > svg"], [".tis-plotly-canvas svg"]] };
  const found = await axe.run(page, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
  return found.violations.filter((v) => ["serious", "critical"].includes(v.impact))
    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(" ")} | ${n.html.slice(0, 160)}`));
}"""


def problems(page: Page) -> list[str]:
    page.evaluate(AXE_SCRIPT)
    return page.evaluate(RUN)


def narrow_and_dark(page: Page) -> None:
    """Do what turning a phone and its night mode do: the page must follow without being loaded again."""
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    page.wait_for_timeout(300)  # figures are drawn again


def test_axe_finds_nothing_serious(browser: Browser, pages, open_page):
    context = browser.new_context(color_scheme="light")
    found = {}
    for name in pages:
        page = context.new_page()
        page.set_viewport_size({"width": 1280, "height": 900})
        open_page(page, name)
        found[f"{name} (1280 px, light)"] = problems(page)
        narrow_and_dark(page)
        found[f"{name} (390 px, dark)"] = problems(page)
        page.close()
    context.close()
    assert {visit: what for visit, what in found.items() if what} == {}


def test_axe_would_find_something(browser: Browser, open_page):
    context = browser.new_context()
    page = context.new_page()
    open_page(page, "index.html")
    page.evaluate("document.querySelector('article').append(document.createElement('img'))")
    assert any(problem.startswith("image-alt") for problem in problems(page))
    context.close()
