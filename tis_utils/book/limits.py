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
    import scipy.linalg  # noqa: F401  OpenBLAS, NumPy's and SciPy's: without memory its start asks for it without end

    try:
        resource.setrlimit(resource.RLIMIT_DATA, (round(gib * 2**30), resource.getrlimit(resource.RLIMIT_DATA)[1]))
    except (ValueError, OSError) as error:
        raise InputError(f"--memory {gib:g} cannot be set here: {error}. Give a smaller one.") from error


def lift() -> None:
    """Let this process have what it needs to say that memory ran out, and to end."""
    if resource is not None:
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
