import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from bnlab.reference import variance
from bnlab.reference.variance import ALGORITHMS, Moments, merge
from tests.tolerances import RTOL

TOLERANCE = RTOL[torch.float64]
STABLE = {name: function for name, function in ALGORITHMS.items() if name != "raw_moments"}
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS.keys())


def relative_error(algorithm, x):
    exact = x.astype(np.float64).var()
    return abs(float(algorithm(x)[1]) - exact) / exact


@pytest.fixture
def float32_channel(rng):
    """Draws one channel of shape (8, 4096), flattened, at a distance from zero."""
    return lambda offset: (offset + rng.normal(size=8 * 4096)).astype(np.float32)


def test_algorithms_go_by_their_own_names():
    assert len(ALGORITHMS) == 6
    assert all(getattr(variance, name) is function for name, function in ALGORITHMS.items())


@every_algorithm
@pytest.mark.parametrize("size", [1, 2, 129, 257, 1000])  # one past a leaf of `pairwise`, one past a block of `chan`
def test_every_algorithm_gives_mean_and_biased_variance(rng, algorithm, size):
    x = rng.normal(3.0, 2.0, size)
    mean, var = algorithm(x)
    assert_allclose(mean, x.mean(), rtol=TOLERANCE)
    assert_allclose(var, x.var(), rtol=TOLERANCE, atol=TOLERANCE)  # a single value: 0 up to rounding


@every_algorithm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_algorithm_keeps_the_dtype(rng, algorithm, dtype):
    mean, var = algorithm(rng.normal(size=300).astype(dtype))
    assert type(mean) is type(var) is dtype


def test_raw_moments_fail_in_float32_once_the_mean_is_large(float32_channel):
    assert relative_error(variance.raw_moments, float32_channel(0.0)) < 1e-4
    assert relative_error(variance.raw_moments, float32_channel(1e3)) > 0.05
    assert relative_error(variance.raw_moments, float32_channel(1e4)) > 5


def test_raw_moments_can_be_negative():
    _, var = variance.raw_moments(np.array([5001.0, 5001.0, 5002.0], np.float32))
    assert var < 0


@pytest.mark.parametrize("algorithm", STABLE.values(), ids=STABLE.keys())
def test_the_others_hold_in_float32_at_a_mean_of_1000(float32_channel, algorithm):
    assert relative_error(algorithm, float32_channel(1e3)) < 1e-4


@pytest.mark.parametrize("name", ["shifted", "welford", "chan", "pairwise"])
def test_four_hold_in_float32_at_a_mean_of_100000(float32_channel, name):
    assert relative_error(ALGORITHMS[name], float32_channel(1e5)) < 5e-3


def test_two_passes_are_as_good_as_their_mean(float32_channel):
    x = float32_channel(1e5)  # 32768 such values add up to 3e9, where float32 counts in steps of 256
    mean, var = variance.two_pass(x)
    error_of_mean = float(mean) - x.astype(np.float64).mean()
    assert relative_error(variance.two_pass, x) > 0.05
    assert_allclose(var, x.astype(np.float64).var() + error_of_mean**2, rtol=1e-2)


@pytest.mark.parametrize("name", ["two_pass", "raw_moments"])
def test_sums_run_in_order(name):
    x = np.array([2.0**24] + [1.0] * 1024, np.float32)  # in order, each 1 is lost: 2^24 + 1 does not fit
    assert ALGORITHMS[name](x)[0] == np.float32(2.0**24) / 1025


def test_a_tree_loses_less_than_a_running_sum():
    x = np.full(2**16, 0.1, np.float32)
    in_order, tree = (abs(float(ALGORITHMS[name](x)[0] - x[0])) for name in ("two_pass", "pairwise"))
    assert tree < in_order / 100


@pytest.mark.parametrize("name", ["shifted", "welford"])
def test_constant_values_have_exactly_no_variance(name):
    mean, var = ALGORITHMS[name](np.full(1000, 0.1, np.float32))
    assert mean == np.float32(0.1)
    assert var == 0


def test_welford_agrees_with_the_definition_after_every_value(rng):
    x = rng.normal(1e3, 1.0, 20)
    for count in range(1, 21):
        assert_allclose(variance.welford(x[:count])[1], x[:count].var(), rtol=1e-9, atol=TOLERANCE)


@pytest.mark.parametrize("block", [1, 7, 100, 1000])  # single values, a ragged last block, an even split, one block
def test_chan_does_not_depend_on_the_block(rng, block):
    x = rng.normal(3.0, 2.0, 100)
    assert_allclose(variance.chan(x, block=block), (x.mean(), x.var()), rtol=TOLERANCE)


def moments(x):
    return Moments(len(x), x.mean(0), x.var(0) * len(x))


def test_merge_of_unequal_parts_is_the_whole(rng):
    a, b = rng.normal(0.0, 1.0, (3, 4)), rng.normal(5.0, 2.0, (11, 4))  # 4 channels, means apart
    merged, whole = merge(moments(a), moments(b)), moments(np.concatenate([a, b]))
    assert merged.count == whole.count
    assert_allclose(merged.mean, whole.mean, rtol=TOLERANCE)
    assert_allclose(merged.m2, whole.m2, rtol=TOLERANCE)


def test_merge_with_an_empty_part_changes_nothing(rng):
    part, empty = moments(rng.normal(size=9)), Moments(0, 0.0, 0.0)
    assert merge(part, empty) == merge(empty, part) == part
    assert merge(empty, empty) == empty


def test_merge_keeps_the_dtype():
    one = Moments(1, np.float32(1.0), np.float32(0.0))
    merged = merge(one, one)
    assert type(merged.mean) is type(merged.m2) is np.float32


@every_algorithm
def test_no_algorithm_changes_its_input(rng, algorithm):
    x = rng.normal(size=50)
    before = x.copy()
    algorithm(x)
    assert_array_equal(x, before)


@every_algorithm
def test_nan_passes_through(algorithm):
    assert np.isnan(algorithm(np.array([1.0, np.nan, 2.0]))).all()


@every_algorithm
@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones(3, np.int64), "x must be float32 or float64, got int64"),
        (np.ones(3, np.float16), "x must be float32 or float64, got float16"),
        (np.ones((2, 3)), r"x must be one-dimensional with at least one value, got shape \(2, 3\)"),
        (np.empty(0), r"x must be one-dimensional with at least one value, got shape \(0,\)"),
    ],
    ids=["integers", "half", "two_dimensional", "empty"],
)
def test_bad_input_is_refused(algorithm, x, message):
    with pytest.raises(ValueError, match=message):
        algorithm(x)


def test_chan_refuses_a_block_below_1():
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        variance.chan(np.ones(3), block=0)
