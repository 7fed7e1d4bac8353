"""Which tasks a pool holds, and which candidate belongs to which."""

import numpy as np

from tis_utils.errors import InputError
from tis_utils.experiments.study import Study


def tasks_of(study: Study) -> tuple[list[str], np.ndarray]:
    """Names of the pool's tasks, sorted, and each candidate's task, int64 (N,).

    Raises
    ------
    InputError
        If a candidate does not say which task it belongs to.
    """
    pool = study.data.pool
    families = [example.meta.get("family") for example in pool]
    if None in families:
        raise InputError(
            f"{families.count(None)} of {len(pool)} candidates belong to no task. INSTA chooses whole tasks: give "
            'every candidate the name of its task as meta["family"].'
        )
    names, labels = np.unique(np.array(families, dtype=str), return_inverse=True)
    return names.tolist(), labels.astype(np.int64)
