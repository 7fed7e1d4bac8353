"""The Python that executes notebooks: this one, whatever kernels Jupyter knows."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.connect import ConnectionFileMixin
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

NAME = "python3"
LONGEST = 80  # characters of a folder's path; the address of a socket has 103 at most


class ThroughFiles(ConnectionFileMixin):
    """A kernel's manager that talks with it through files in a folder of its own instead of ports.

    Jupyter finds free ports and lets them go until the kernel takes them. Where kernels start side by side another one
    can be there first; if that happens to the port of the heartbeat, Jupyter waits without end when the kernel is done.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._folder = TemporaryDirectory(prefix="kernel-")
        if os.name == "posix" and len(self._folder.name) <= LONGEST:
            self.transport, self.connection_file = "ipc", str(Path(self._folder.name) / "k.json")


class ThisPython(ThroughFiles, AsyncKernelManager):
    """Starts IPython in the Python that runs this command."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """How it is started."""
        return KernelSpec(argv=make_ipkernel_cmd(), display_name="this Python", language="python")


def other_python() -> str | None:
    """What Jupyter starts as ``python3`` if that is not this Python: the command, and the file that says so."""
    about = KernelSpecManager().get_all_specs().get(NAME)
    if about is None or _same_program(about["spec"]["argv"][0]):
        return None
    return f"{' '.join(about['spec']['argv'][:3])} … ({Path(about['resource_dir']) / 'kernel.json'})"


def _same_program(program: str) -> bool:
    """Whether it is this Python; links are not followed, virtual environments are links to one program."""
    return program in ("python", "python3") or Path(program).absolute() == Path(sys.executable).absolute()
