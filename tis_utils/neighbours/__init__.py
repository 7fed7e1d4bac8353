"""Two other papers, a folder each: INSTA chooses whole tasks, ILA by coverage and depth; beside each its rivals.

What is made of both stands beside the folders.

Importing this package makes both known to :class:`tis_utils.experiments.study.Study`.
"""

from tis_utils.experiments.subset import CHOOSERS
from tis_utils.neighbours import hybrids
from tis_utils.neighbours.ila import deita
from tis_utils.neighbours.ila import selector as by_coverage
from tis_utils.neighbours.insta import rivals
from tis_utils.neighbours.insta import selector as by_instruction

CHOOSERS |= {"insta": by_instruction, **dict.fromkeys(rivals.RIVALS, rivals)}
CHOOSERS |= {"ila": by_coverage, "deita": deita, "hybrid": hybrids}
