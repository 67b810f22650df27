"""The machine that a benchmark ran on, and how it was set: without them a number of milliseconds says nothing."""

import ctypes
import datetime as dt
import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bnlab.runtime import usable_cores

PACKAGES = ("torch", "numpy", "numba", "triton")
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
MOST = 1 << 30  # bytes: an array smaller than that comes from the heap, which is not given back
SYSTEM = "as the system's allocator decides"
KEPT = "from freed memory that the process keeps (mallopt)"


@dataclass(frozen=True)
class Machine:
    """Where and how a benchmark ran.

    Attributes:
        processor: its name, or that of the GPU.
        cores: that the process may use.
        date: the day, in UTC, as YYYY-MM-DD.
        versions: of Python and of the packages that compute.
        wait_policy: OMP_WAIT_POLICY; threads that wait and spin slow others down.
        threading: the layer that numba's threads stand on.
        new_memory: where calls that ask for memory get it.
    """

    processor: str
    cores: int
    date: str
    versions: dict[str, str]
    wait_policy: str
    threading: str
    new_memory: str

    @classmethod
    def here(cls, device: str, *, new_memory: str) -> "Machine":
        """This one, now that the benchmark has run: numba chooses its threads at the first launch."""
        gpu = device == "cuda"
        return cls(
            processor=torch.cuda.get_device_name() if gpu else processor(),
            cores=usable_cores(),
            date=dt.datetime.now(dt.UTC).date().isoformat(),
            versions={"python": platform.python_version(), **_versions()},
            wait_policy=os.environ.get("OMP_WAIT_POLICY", "not set"),
            threading="none" if gpu else _threading(),
            new_memory="from torch's cache" if gpu else new_memory,
        )

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.processor}, {self.cores} cores, {self.date}; {versions}; OMP_WAIT_POLICY {self.wait_policy}; "
            f"numba's threads: {self.threading}; new memory: {self.new_memory}"
        )


def processor() -> str:
    """The processor's name, as the operating system gives it.

    >>> processor() != ""
    True
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor() or platform.machine())


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, until it ends; whether the C library can be told to.

    Otherwise a large array is given back to the operating system when it is freed, and the next one has to be provided
    page by page, which takes longer than to compute what it holds.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(MMAP_THRESHOLD, MOST), mallopt(TRIM_THRESHOLD, 2 * MOST - 1)])


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # Triton, where there is none
            continue
    return found


def _threading() -> str:
    import numba  # noqa: PLC0415 - loaded only for those who measure it

    try:
        return str(numba.threading_layer())  # type: ignore[attr-defined]
    except ValueError:  # nothing was launched
        return "none"
