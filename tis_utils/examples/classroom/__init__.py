"""The classroom data source: small enough for a laptop, built so that representation matters.

Examples
--------
>>> from tis_utils.examples import classroom
>>> room = classroom.build(pool_size=100, n_queries=2, n_test=2, tasks=["pick"])
>>> len(room.pool), len(room.queries["pick"])
(100, 2)
"""

from tis_utils.examples.classroom.corpus import pretraining_corpus
from tis_utils.examples.classroom.filler import FAMILIES
from tis_utils.examples.classroom.pool import SHARES, TASKS, build, composition
from tis_utils.examples.classroom.skills import SKILLS

__all__ = ["FAMILIES", "SHARES", "SKILLS", "TASKS", "build", "composition", "pretraining_corpus"]
