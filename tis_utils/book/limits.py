"""A ceiling on memory: a run that needs more stops with a message instead of driving the machine into swapping."""

import ctypes
import re
import threading
import time
from pathlib import Path
from types import ModuleType

from tis_utils.errors import InputError

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

STATUS = Path("/proc/self/status")  # Linux: what the system counts towards the ceiling
MARGIN, INTERVAL = 0.05, 0.02  # share of the ceiling that is kept for the end; seconds between two looks


def limit(gib: float) -> None:
    """Let no process from here on hold more than `gib` GiB of data; workers inherit it."""
    if gib <= 0:
        raise InputError(f"--memory {gib:g} is no amount of memory: give GiB, for example --memory 8.")
    if resource is None:
        raise InputError("--memory needs limits that this system does not have (Windows). Leave it out.")
    import scipy.linalg  # noqa: F401  OpenBLAS, NumPy's and SciPy's: without memory its start asks for it without end

    ceiling = round(gib * 2**30)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (ceiling, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    except (ValueError, OSError) as error:
        raise InputError(f"--memory {gib:g} cannot be set here: {error}. Give a smaller one.") from error
    if STATUS.exists():
        threading.Thread(target=_watch, args=(ceiling, threading.get_ident()), daemon=True).start()


def lift() -> None:
    """Let this process have what it needs to say that memory ran out, and to end."""
    if resource is not None:
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _watch(ceiling: int, thread: int) -> None:
    """Raise a MemoryError in a thread a little below the ceiling, and lift it.

    Where not even an integer can be made, Python 3.11 tries to handle the MemoryError again and again, without end.
    """
    assert resource is not None
    used: re.Match[bytes] | None = None
    while resource.getrlimit(resource.RLIMIT_DATA)[0] == ceiling:  # not lifted meanwhile
        if used and int(used[1]) * 1024 > (1 - MARGIN) * ceiling:
            lift()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(MemoryError))
            return
        time.sleep(INTERVAL)
        used = re.search(rb"VmData:\s+(\d+) kB", STATUS.read_bytes())
