"""The data of the experiments: digits that come with scikit-learn, series that mnist1d generates; no downloads."""

import os
import random
import tempfile
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import platformdirs
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

# scikit-learn and mnist1d are imported where they are used: they take seconds, and every figure imports this module.

SETTINGS = {"num_samples": 5000, "train_split": 0.8, "seed": 42}  # of mnist1d; the rest are its version's defaults
DIGEST = 32  # bytes of SHA-256 that follow the arrays in the cache file, since NumPy loads some damaged files

Array = NDArray[Any]
Rows = NDArray[np.int64] | slice


class Split(NamedTuple):
    """Examples and their classes, row by row."""

    x: Float[Tensor, "n c *spatial"]
    y: Int[Tensor, " n"]


class Dataset(NamedTuple):
    """Three disjoint splits: fit on `train`, choose settings on `validation`, read `test` once."""

    train: Split
    validation: Split
    test: Split


class ForTuning(NamedTuple):
    """What may be looked at while settings are chosen."""

    train: Split
    validation: Split

    @property
    def test(self) -> Split:
        """Not to be had.

        Raises:
            PermissionError: always.
        """
        raise PermissionError("settings are chosen on the validation split; the test split is read once, afterwards")


def for_tuning(dataset: Dataset) -> ForTuning:
    """The dataset without its test split, for everything that chooses a setting.

    Example:
        >>> for_tuning(digits()).test
        Traceback (most recent call last):
        PermissionError: settings are chosen on the validation split; the test split is read once, afterwards
    """
    return ForTuning(dataset.train, dataset.validation)


def digits() -> Dataset:
    """The 8x8 images of handwritten digits that come with scikit-learn: 1,077 to train, 360 to validate, 360 to test.

    The split is fixed and has every digit in the same proportion. One mean and one standard deviation, those of all
    training pixels together, normalise everything: some pixels are 0 in every image, and a standard deviation of their
    own would be 0.

    Returns:
        `x` of shape (n, 1, 8, 8), float32; `y` of shape (n,), int64, from 0 to 9.

    Example:
        >>> digits().train.x.shape
        torch.Size([1077, 1, 8, 8])
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 - see the top
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - see the top

    pixels, labels = load_digits(return_X_y=True)
    rest, test = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    train, validation = train_test_split(rest, test_size=360, stratify=labels[rest], random_state=0)
    return _dataset(pixels.reshape(-1, 1, 8, 8), labels, (train, validation, test))


def mnist1d() -> Dataset:
    """MNIST-1D (Greydanus & Kobak, arXiv:2011.14439): 3,000 series to train, 1,000 to validate, 1,000 to test.

    The mnist1d package generates it with its default settings and seed. That takes seconds, so the result is kept
    in the user's cache directory, or in `BNLAB_CACHE_DIR`; a missing, damaged or unwritable cache only costs the time.
    The test split is the package's; one mean and one standard deviation, those of the training split, normalise
    everything.

    Returns:
        `x` of shape (n, 1, 40), float32; `y` of shape (n,), int64, from 0 to 9.

    Example:
        >>> mnist1d().train.x.shape
        torch.Size([3000, 1, 40])
    """
    series, labels = _read_cache() or _generate_and_cache()
    return _dataset(series[:, None], labels, (slice(3000), slice(3000, 4000), slice(4000, None)))


DATASETS = {"digits": digits, "mnist1d": mnist1d}


def load(name: str) -> Dataset:
    """The dataset of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in DATASETS:
        raise ValueError(f"dataset: expected one of {', '.join(DATASETS)}, got {name!r}")
    return DATASETS[name]()


def _dataset(x: Array, y: Array, rows: tuple[Rows, Rows, Rows]) -> Dataset:
    """Normalise `x` by its training rows and copy each split into tensors of its own, so that no caller shares them."""
    mean, std = x[rows[0]].mean(), x[rows[0]].std()

    def split(chosen: Rows) -> Split:
        return Split(
            torch.tensor((x[chosen] - mean) / std, dtype=torch.float32), torch.tensor(y[chosen], dtype=torch.int64)
        )

    return Dataset(*map(split, rows))


def _generate() -> tuple[Array, Array]:
    from mnist1d.data import get_dataset_args, make_dataset  # noqa: PLC0415 - see the top

    settings = get_dataset_args()
    vars(settings).update(SETTINGS)
    # The package seeds and draws from the global generators, which are the caller's.
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the caller's may be this one
    try:
        made = make_dataset(settings)
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002 - as above
    return np.concatenate([made["x"], made["x_test"]]), np.concatenate([made["y"], made["y_test"]])


def _cache_file() -> Path:
    """The file's name says all that its contents depend on, so a file of other settings is never read."""
    directory = os.environ.get("BNLAB_CACHE_DIR") or platformdirs.user_cache_path("bnlab")
    settings = "-".join(f"{name}={value}" for name, value in SETTINGS.items())
    return Path(directory) / f"mnist1d-{version('mnist1d')}-{settings}.npz"


def _read_cache() -> tuple[Array, Array] | None:
    """The arrays of the cache file, or `None` where it is missing or not whole."""
    try:
        content = _cache_file().read_bytes()
    except OSError:
        return None
    stored, digest = content[:-DIGEST], content[-DIGEST:]
    if sha256(stored).digest() != digest:
        return None
    with np.load(BytesIO(stored)) as arrays:
        return arrays["x"], arrays["y"]


def _generate_and_cache() -> tuple[Array, Array]:
    """Generate the arrays and try to store them; other processes see the whole file or none."""
    x, y = _generate()
    stored = BytesIO()
    np.savez(stored, x=x, y=y)
    cache = _cache_file()
    with suppress(OSError):  # no place to write: the next call generates again
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as unfinished:
            new = Path(unfinished) / cache.name
            new.write_bytes(stored.getvalue() + sha256(stored.getvalue()).digest())
            new.replace(cache)
    return x, y
