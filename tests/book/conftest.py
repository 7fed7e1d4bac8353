"""The built book, and a visit of every page at two widths in light and dark mode.

With TIS_SHOTS=1 every visit leaves a screenshot in tests/artifacts/book.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, sync_playwright

from tis_utils import paths

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "tests" / "artifacts" / "book"
# A page is loaded at the first width and then brought to the second, as a phone or a window is turned.
MODES = [("light", 1280, 390), ("dark", 390, 1280)]
BETWEEN = 768  # px, a third width for the words of pictures
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# what watches sizes, and whoever else waited for the formulas, has run in the second frame, however slow they are
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
READY = """async () => {
  if (window.MathJax?.startup) await MathJax.startup.promise;
  const drawn = () => [...document.querySelectorAll('figure.tis-plotly')].every(f => f.querySelector('.main-svg'));
  for (let i = 0; i < 200 && !drawn(); i++) await new Promise(done => setTimeout(done, 50));
}"""


# The rules of axe-core for WCAG 2 A and AA. Inside formulas and interactive figures there is nothing but shapes: their
# containers carry the names. Contrast is measured by look.js, in all modes; axe takes nine tenths of its time for it.
AXE = """async () => {
  document.getAnimations().forEach((animation) => animation.finish());
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const page = { exclude: [["mjx-container > svg"], [".tis-plotly-canvas svg"]] };
  const rules = { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"], preload: false, iframes: false,
                  rules: { "color-contrast": { enabled: false } } };
  const found = await axe.run(page, rules);
  return found.violations.filter((v) => ["serious", "critical"].includes(v.impact))
    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(" ")} | ${n.html.slice(0, 160)}`));
}"""


@dataclass
class Visit:
    """What happened while one page was open in one mode."""

    page: str
    width: int
    scheme: str
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] | None = None  # what axe found; None: not asked
    words: dict[int, list[str]] = field(default_factory=dict)  # what figures.js found at which width

    def __str__(self) -> str:
        return f"{self.page} ({self.width} px, {self.scheme})"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """An empty folder of notebooks."""
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def site() -> Path:
    """Folder with the book's index.html: in TIS_BOOK if set, else where `make book` puts it."""
    base = Path(os.environ["TIS_BOOK"]) if os.environ.get("TIS_BOOK") else ROOT / "book"
    base = base if base.is_absolute() else ROOT / base
    for folder in (base, base / "html", base / "_build" / "html"):
        if (folder / "index.html").is_file():
            return folder
    pytest.fail(f"There is no built book in {base}. Run `make book` first.", pytrace=False)


@pytest.fixture(scope="session")
def pages(site: Path) -> list[str]:
    """Addresses of all pages, relative to the site."""
    return sorted(str(path.relative_to(site)) for path in site.rglob("*.html") if "_static" not in path.parts)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a display and without a reason to call home."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("The browser tests need Chromium (Debian: apt-get install chromium).", pytrace=False)
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield instance
        instance.close()


def watch(page: Page, visit: Visit) -> None:
    """Collect requests, console messages and uncaught errors."""
    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("requestfailed", lambda request: visit.console.append(f"failed: {request.url[:200]}"))
    page.on("pageerror", lambda error: visit.console.append(f"uncaught: {error}"))
    page.on(
        "console",
        lambda message: (
            visit.console.append(f"{message.type}: {message.text}") if message.type in ("error", "warning") else None
        ),
    )


@pytest.fixture(scope="session")
def open_page(site: Path) -> Callable[..., Visit]:
    """Return a function that opens a page of the site, waits until all is drawn, and keeps watching."""

    def visit_page(page: Page, name: str, *, width: int = 1280, scheme: str = "light") -> Visit:
        visit = Visit(name, width, scheme)
        watch(page, visit)
        path, _, query = name.partition("?")
        page.goto((site / path).as_uri() + (f"?{query}" if query else ""))
        page.evaluate(READY)
        page.evaluate(FRAMES)
        return visit

    return visit_page


@pytest.fixture(scope="session")
def axe_problems() -> Callable[[Page], list[str]]:
    """Return a function that asks axe-core about a page as it is now: serious and critical findings."""

    def ask(page: Page) -> list[str]:
        page.evaluate(AXE_SCRIPT)
        return page.evaluate(AXE)

    return ask


def turn(page: Page, visit: Visit, width: int) -> Visit:
    """Change the width of an open page and wait until it has followed."""
    turned = Visit(visit.page, width, visit.scheme, requests=visit.requests)
    watch(page, turned)
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(300)  # figures are drawn again
    page.evaluate(FRAMES)
    return turned


@pytest.fixture(scope="session")
def visits(
    pages: list[str], browser: Browser, open_page: Callable[..., Visit], axe_problems: Callable[[Page], list[str]]
) -> list[Visit]:
    """Open every page once per colour scheme and look at it at both widths; axe looks at the first of each.

    Layout depends on the width and colours on the scheme: two of the four modes meet every rule of axe, and the words
    of pictures are looked at in one scheme.
    """
    look, figures = ((Path(__file__).parent / f"{name}.js").read_text(encoding="utf-8") for name in ("look", "figures"))
    seen = []
    for scheme, width, other in MODES:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        for name in pages:
            page = context.new_page()
            first = open_page(page, name, width=width, scheme=scheme)
            first.facts = page.evaluate(look)
            shoot(page, first)
            first.problems = axe_problems(page)
            if scheme == "light":
                first.words[width] = page.evaluate(figures)
            second = turn(page, first, other)
            second.facts = page.evaluate(look)
            shoot(page, second)
            for narrow in (other, BETWEEN) if scheme == "light" else ():
                page.set_viewport_size({"width": narrow, "height": 900})
                page.evaluate(FRAMES)
                first.words[narrow] = page.evaluate(figures)
            page.close()
            seen += [first, second]
        context.close()
    return seen


def shoot(page: Page, visit: Visit) -> None:
    """Keep a screenshot if the environment asks for it: they take as long as all the rest."""
    if os.environ.get("TIS_SHOTS"):
        SHOTS.mkdir(parents=True, exist_ok=True)
        name = visit.page.removesuffix(".html").replace("/", "_")
        page.screenshot(path=SHOTS / f"{name}-{visit.width}-{visit.scheme}.png", full_page=True)
