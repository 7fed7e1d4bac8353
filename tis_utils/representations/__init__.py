"""Representations: texts in, unit vectors out, so that every similarity is one matrix product.

Each class offers ``candidates(examples) -> (N, D)`` and ``queries(queries) -> (M, D)``, float32, rows of length 1.
"""

from typing import Any

from tis_utils.representations.embed import Embed
from tis_utils.representations.less import LESS
from tis_utils.representations.lexical import Lexical
from tis_utils.representations.rds import RDS

REPRESENTATIONS: dict[str, type[Any]] = {"embed": Embed, "rds": RDS, "less": LESS, "lexical": Lexical}

__all__ = ["LESS", "RDS", "REPRESENTATIONS", "Embed", "Lexical"]
