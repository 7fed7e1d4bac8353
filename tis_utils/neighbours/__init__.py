"""Two other papers, a folder each: INSTA chooses whole tasks, ILA by coverage and depth.

Importing this package makes both known to :class:`tis_utils.experiments.study.Study`.
"""

from tis_utils.experiments.subset import CHOOSERS
from tis_utils.neighbours.ila import selector as ila
from tis_utils.neighbours.insta import selector as insta

CHOOSERS |= {"insta": insta, "ila": ila}
