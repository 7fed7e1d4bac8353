"""A small study of the classroom."""

from __future__ import annotations

import pytest

from tis_utils.experiments.study import Study
from tis_utils.profiles import load_profile
from tis_utils.storage.cache import Store


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(load_profile("smoke"), Store(tmp_path_factory.mktemp("store")))
