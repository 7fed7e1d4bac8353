"""A ceiling on memory: a run that needs more stops with a message instead of driving the machine into swapping."""

from types import ModuleType

from tis_utils.errors import InputError

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None


def limit(gib: float) -> None:
    """Let no process from here on hold more than `gib` GiB of data; workers inherit it."""
    if gib <= 0:
        raise InputError(f"--memory {gib:g} is no amount of memory: give GiB, for example --memory 8.")
    if resource is None:
        raise InputError("--memory needs limits that this system does not have (Windows). Leave it out.")
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (round(gib * 2**30),) * 2)
    except (ValueError, OSError) as error:
        raise InputError(f"--memory {gib:g} cannot be set here: {error}. Give a smaller one.") from error
