"""A plugin of pytest: nbval talks with its kernels through files, as the book does, not through ports."""

import nbval.kernel
from jupyter_client.manager import KernelManager

from tis_utils.book.kernel import ThroughFiles


class Manager(ThroughFiles, KernelManager):
    """As nbval's own otherwise."""


nbval.kernel.KernelManager = Manager
