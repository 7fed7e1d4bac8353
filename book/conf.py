"""The same book for plain Sphinx (`make sphinx`): what `_config.yml` says, in Sphinx's words.

Jupyter Book 1 translates `_config.yml` the same way and ignores this file. Everything that both need stands there.
"""

import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
BOOK = yaml.safe_load((HERE / "_config.yml").read_text(encoding="utf-8"))
SPHINX = BOOK["sphinx"]["config"]
BUTTONS = {name: value for name, value in BOOK["html"].items() if name.startswith("use_")}

sys.path[:0] = {str(HERE / folder) for folder in BOOK["sphinx"]["local_extensions"].values()}

globals().update(SPHINX)
extensions = [name for name in SPHINX["extensions"] if name != "jupyter_book"]
author, copyright = BOOK["author"], BOOK["copyright"]
html_title = BOOK["title"]
html_theme = "sphinx_book_theme"
html_logo, html_favicon = BOOK["logo"], BOOK["html"]["favicon"]
html_sourcelink_suffix = ""
html_static_path = ["_static"]
html_css_files = sorted(path.name for path in (HERE / "_static").glob("*.css"))
html_js_files = sorted(path.name for path in (HERE / "_static").glob("*.js"))
html_theme_options = {
    **SPHINX["html_theme_options"],
    **BUTTONS,
    "repository_url": BOOK["repository"]["url"],
    "repository_branch": BOOK["repository"]["branch"],
    "launch_buttons": BOOK["launch_buttons"],
}
exclude_patterns = BOOK["exclude_patterns"]
external_toc_path = "_toc.yml"
external_toc_exclude_missing = BOOK["only_build_toc_files"]
bibtex_bibfiles = BOOK["bibtex_bibfiles"]
myst_enable_extensions = BOOK["parse"]["myst_enable_extensions"]
nb_execution_mode = BOOK["execute"]["execute_notebooks"]
numfig = use_multitoc_numbering = True
