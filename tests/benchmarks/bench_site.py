"""How soon a page of the built book answers, against a page with one sentence. Needs `make book` and Chromium.

Two numbers per page, from navigation on: when the document's scripts have run (from then on a click does something),
and when all formulas are drawn too. Interactive figures come after that, when the page is idle.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

SITE = Path(__file__).resolve().parents[2] / "book" / "_build" / "html"
REPEATS = 3
TIMES = """async () => {
  const ready = performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd;
  await window.MathJax?.startup?.promise;
  return [ready, performance.now()];
}"""


def seconds(browser: Browser, page: Path) -> tuple[float, float]:
    """Medians over some visits: scripts have run, formulas are drawn."""
    found = []
    for _ in range(REPEATS):
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(page.as_uri(), wait_until="domcontentloaded")
        found.append(tab.evaluate(TIMES))
        tab.close()
    ready, drawn = (statistics.median(times) / 1000 for times in zip(*found, strict=True))
    return ready, drawn


def main() -> None:
    """Print the slowest pages first."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    pages = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
    if not pages or chromium is None:
        print("Nothing to measure: run `make book` and install Chromium first.")
        return
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        plain = Path(scratch, "plain.html")
        plain.write_text("<!doctype html><title>Plain</title><p>One sentence.", encoding="utf-8")
        floor = seconds(browser, plain)[0]
        rows = sorted(((*seconds(browser, page), page) for page in pages), reverse=True)
        print(f"one sentence: {floor:.2f} s")
        for ready, drawn, page in rows:
            told = f"scripts {ready:.2f} s ({ready / floor:.0f} x), formulas {drawn:.2f} s"
            print(f"{page.stem:32} {told}, {page.stat().st_size / 2**20:.1f} MiB")
        browser.close()


if __name__ == "__main__":
    main()
