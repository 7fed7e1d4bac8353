"""The built book, and one visit of every page at two widths in light and dark mode."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "tests" / "artifacts" / "book"
MODES = [(width, scheme) for scheme in ("light", "dark") for width in (1280, 390)]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
READY = """async () => {
  if (window.MathJax?.startup) await MathJax.startup.promise;
  const drawn = () => [...document.querySelectorAll('figure.tis-plotly')].every(f => f.querySelector('.main-svg'));
  for (let i = 0; i < 200 && !drawn(); i++) await new Promise(done => setTimeout(done, 50));
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

    def __str__(self) -> str:
        return f"{self.page} ({self.width} px, {self.scheme})"


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
            visit.console.append(f"{message.type}: {message.text}")
            if message.type in ("error", "warning")
            else None
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
        return visit

    return visit_page


@pytest.fixture(scope="session")
def visits(pages: list[str], browser: Browser, open_page: Callable[..., Visit]) -> list[Visit]:
    """Open every page in every mode once; keep what was seen, and a screenshot."""
    look = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")
    seen = []
    for width, scheme in MODES:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        for name in pages:
            page = context.new_page()
            visit = open_page(page, name, width=width, scheme=scheme)
            visit.facts = page.evaluate(look)
            target = SHOTS / f"{name.removesuffix('.html').replace('/', '_')}-{width}-{scheme}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=target, full_page=True)
            page.close()
            seen.append(visit)
        context.close()
    return seen
