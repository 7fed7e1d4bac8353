"""Each step's numbers are those stored in ``golden/`` for its version.

Stored results are keyed by versions, not by source text: a changed number under an old version would let old results
pass as new ones. Whoever means a change raises the step's ``VERSION`` and stores its outputs anew, in one commit:
``pytest tests/test_golden.py --store-golden``.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_steps import GOLDEN, STEP_OUTPUTS, plain

from tis_utils.storage.keys import STEPS, versions

REGISTERED = {name for members in STEPS.values() for name in members}


def difference(stored: Any, value: Any, tolerance: float, where: str = "") -> str | None:
    """Where two outputs differ first, in words; floats may differ by `tolerance`, everything else may not."""
    if isinstance(stored, dict) and isinstance(value, dict) and stored.keys() == value.keys():
        pairs = [(stored[key], value[key], f"{where}[{key!r}]") for key in stored]
    elif isinstance(stored, list) and isinstance(value, list) and len(stored) == len(value):
        pairs = [(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(stored, value, strict=True))]
    elif isinstance(stored, float) and isinstance(value, float):
        close = math.isclose(stored, value, rel_tol=tolerance, abs_tol=tolerance)
        return None if close else f"{where}: {stored!r} became {value!r}"
    else:
        return None if stored == value and type(stored) is type(value) else f"{where}: {stored!r} became {value!r}"
    return next((text for a, b, place in pairs if (text := difference(a, b, tolerance, place))), None)


def fault(stored: dict[str, Any] | None, outputs: dict[str, Any], version: int, tolerance: float) -> str | None:
    """What is wrong with a step, in words."""
    if stored is None:
        return "There is no golden output yet."
    moved = difference(stored["outputs"], outputs, tolerance)
    if version == stored["version"]:
        return moved and f"Numbers moved under the same version: {moved}. If that is meant, raise VERSION."
    return f"VERSION went from {stored['version']} to {version}; its golden output is the old one."


def read(name: str) -> dict[str, Any] | None:
    path = GOLDEN / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def store(path: Path, outputs: dict[str, Any], version: int) -> None:
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in outputs.items())
    path.write_text(f'{{"version": {version}, "outputs": {{\n{lines}\n}}}}\n', encoding="utf-8")


@pytest.mark.parametrize("name", STEP_OUTPUTS)
def test_numbers_are_those_of_the_version(name: str, pytestconfig: pytest.Config) -> None:
    tolerance, compute = STEP_OUTPUTS[name]
    torch.set_num_threads(1)
    stored, outputs, version = read(name), plain(compute()), versions(*STEPS)[name]
    text = fault(stored, outputs, version, tolerance)
    if text and pytestconfig.getoption("--store-golden") and (stored is None or stored["version"] != version):
        store(GOLDEN / f"{name}.json", outputs, version)
        text = None
    assert text is None, f"{text} Then store it: pytest tests/test_golden.py --store-golden"


def test_every_step_has_golden_output_and_there_is_no_other() -> None:
    assert set(STEP_OUTPUTS) == REGISTERED == {path.stem for path in GOLDEN.glob("*.json")} - {"inputs"}


OUTPUTS = {"picks": [3, 1], "loss": [1.0, None], "text": "a"}


@pytest.mark.parametrize(
    ("outputs", "version", "text"),
    [
        (OUTPUTS, 1, None),
        (OUTPUTS | {"loss": [1.0 + 1e-7, None]}, 1, None),
        (OUTPUTS | {"loss": [1.001, None]}, 1, r"\['loss'\]\[0\]: 1.0 became 1.001"),
        (OUTPUTS | {"loss": [1.0, 2.0]}, 1, "None became 2.0"),
        (OUTPUTS | {"picks": [1, 3]}, 1, "3 became 1"),
        (OUTPUTS | {"picks": [3, 1, 2]}, 1, "raise VERSION"),
        (OUTPUTS | {"more": 1}, 1, "raise VERSION"),
        (OUTPUTS, 2, "went from 1 to 2"),
    ],
)
def test_moved_numbers_and_moved_versions_are_faults(outputs: dict[str, Any], version: int, text: str | None) -> None:
    message = fault({"version": 1, "outputs": OUTPUTS}, outputs, version, 1e-6)
    assert message is None if text is None else re.search(text, message or "")


def test_a_step_without_golden_output_is_a_fault() -> None:
    assert fault(None, OUTPUTS, 1, 0.0) == "There is no golden output yet."
