"""Command line of the pre-training run."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from recipe.release import pretrain
from recipe.settings import Settings
from tis_utils.errors import TisError


def main() -> int:
    """Run ``python -m recipe``; 0 fine, 1 failed, 2 misuse."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m recipe",
        description="Pre-train the tiny base model of the classroom from nothing (minutes on two CPU cores).",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write, e.g. data/models/tiny")
    for option in ("seed", "threads", "n_skills", "n_mixture", "hidden", "layers", "heads", "feed_forward"):
        default = getattr(defaults, option)
        name = "--" + option.replace("_", "-")
        parser.add_argument(name, type=int, default=default, help=f"default {default}")
    arguments = vars(parser.parse_args())
    try:
        manifest = pretrain(arguments.pop("out"), replace(defaults, **arguments))
    except TisError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{manifest['tokens']:,} tokens in {manifest['wall_seconds']} s; sha256 {manifest['weights_sha256']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
