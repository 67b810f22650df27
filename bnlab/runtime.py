"""Threads, seeds and a look at the machine, set and asked in one place."""

import os
import platform
import random
from typing import NamedTuple

import numpy as np

# Waiting threads that spin slow every other process down, up to fiftyfold on two cores. torch's threads read this when
# torch is loaded, so it has an effect only where this module comes first, as in the `bnlab` command.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

THREADS_VARIABLE = "BNLAB_NUM_THREADS"


def set_threads(threads: int | None = None) -> int:
    """Set the number of threads that torch computes with, and let it round denormal numbers to zero.

    Numbers below the smallest normal one (1.2e-38 in float32) are handled slowly by many processors: training from
    very small weights took up to six times longer with them. torch's workers copy the setting of the thread that
    starts them, so it stands here, where the pool's size is set before its first use.

    Args:
        threads: how many; `None` means every core this process may use. `BNLAB_NUM_THREADS` in the environment wins.

    Returns:
        The number of threads set.

    Raises:
        ValueError: the number asked for is not a whole number of at least 1.

    Example:
        >>> set_threads(1) == torch.get_num_threads()
        True
    """
    asked = os.environ.get(THREADS_VARIABLE, "").strip()
    if asked:
        if not (asked.isascii() and asked.isdigit() and int(asked) >= 1):
            raise ValueError(f"{THREADS_VARIABLE} must be a whole number of at least 1, got {asked!r}")
        threads = int(asked)
    elif threads is None:
        threads = usable_cores()
    elif threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    return threads


def usable_cores() -> int:
    """Count the cores that this process may run on, which a job scheduler or a container may have limited.

    Example:
        >>> 1 <= usable_cores() <= os.cpu_count()
        True
    """
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_seed(seed: int) -> None:
    """Seed the three global generators: Python's `random`, NumPy's legacy one and torch's.

    Args:
        seed: from 0 to 2**32 - 1, the range of NumPy's legacy generator.

    Raises:
        ValueError: the seed is outside that range.

    Example:
        >>> set_seed(0)
        >>> first = torch.rand(2)
        >>> set_seed(0)
        >>> torch.equal(torch.rand(2), first)
        True
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2**32 - 1, got {seed}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that draw from the legacy generator must be seeded too
    torch.manual_seed(seed)


class Found(NamedTuple):
    """One thing about this machine, and what it means for a learner."""

    thing: str
    found: str
    meaning: str


class Environment(NamedTuple):
    """What `environment` found; shows itself as a table in a notebook and as lines in a terminal."""

    rows: tuple[Found, ...]

    def __str__(self) -> str:
        return "\n".join(f"{row.thing}: {row.found}. {row.meaning}" for row in self.rows)

    def _repr_markdown_(self) -> str:
        head = ("| | found | what it means for you |", "|---|---|---|")
        return "\n".join((*head, *(f"| {row.thing} | {row.found} | {row.meaning} |" for row in self.rows)))


def environment() -> Environment:
    """Describe this machine: versions, cores, threads and GPU, each with what it means for the learner.

    Example:
        >>> [row.thing for row in environment().rows]
        ['Python', 'torch', 'NumPy', 'cores', 'threads', 'GPU']
    """
    return Environment(
        (
            Found("Python", platform.python_version(), "Recent enough: the course needs 3.11 or newer."),
            Found(
                "torch",
                torch.__version__,
                "The stored outputs were made with 2.13.0 on a CPU: another build may differ in the last digits.",
            ),
            Found("NumPy", np.__version__, "It computes the reference that everything else is checked against."),
            Found("cores", str(usable_cores()), _cores_meaning(usable_cores())),
            Found(
                "threads",
                str(torch.get_num_threads()),
                f"Set {THREADS_VARIABLE} before the start to use another number.",
            ),
            _gpu(),
        )
    )


def _cores_meaning(cores: int) -> str:
    if cores == 1:
        return "Enough for everything; the minutes stated are for two cores, so expect to wait longer."
    return "Enough for everything; the minutes stated are for two cores."


def _gpu() -> Found:
    if not torch.cuda.is_available():
        return Found("GPU", "none that CUDA can use", "Everything in the course runs on the CPU; nothing is skipped.")
    meaning = "It is not needed: the course runs on the CPU, so your numbers can be compared with the stored ones."
    return Found("GPU", torch.cuda.get_device_name(), meaning)
