import os
import subprocess
import sys

import numpy as np
import pytest
from numba import config, get_num_threads, set_num_threads
from numpy.testing import assert_allclose, assert_array_equal

from bnlab import reference
from bnlab.kernels import columns, cpu, maps, planes

LAYOUTS = {  # shape, whether channels last, and the kernels that should take it
    "vectors": ((37, 5), False, columns),
    "wide_vectors": ((600, 700), False, columns),  # more rows than one block sums in the input's dtype
    "channels_last": ((6, 3, 5, 7), True, columns),
    "prime_rows": ((7, 3, 1, 1), True, columns),  # rows that cannot be joined
    "small_maps": ((9, 6, 7, 7), False, maps),
    "many_small_maps": ((300, 2, 3), False, maps),  # more images than one sum takes in the input's dtype
    "planes": ((3, 4, 17, 19), False, planes),
    "long_planes": ((2, 3, 5000), False, planes),  # longer than one run's sum
    "one_channel": ((4, 1, 300), False, planes),
    "rank_5": ((2, 3, 4, 5, 6), False, maps),
    "count_2": ((2, 3), False, columns),
}
TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-11}  # of the largest entry


def laid_out(array, channels_last):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1) if channels_last else array


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return np.dtype(request.param)


def numbers(shape, channels_last, dtype, seed=0, mean=0.0):
    rng = np.random.default_rng(seed)
    return laid_out((rng.normal(size=shape) + mean).astype(dtype), channels_last)


def given(layout, dtype, mean=0.0):
    """Input, a gradient that is not uniform, a residual, scale and shift."""
    shape, last, _ = layout
    rng = np.random.default_rng(9)
    arrays = [numbers(shape, last, dtype, seed, mean if seed == 0 else 0) for seed in range(3)]
    return *arrays, rng.uniform(0.5, 2, shape[1]), rng.normal(size=shape[1])


def close(got, expected, dtype):
    assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())


def per_channel(values, x):
    return values.reshape(1, -1, *(1,) * (x.ndim - 2))


# ---- against the reference ----


def test_each_layout_has_its_kernels(layout):
    shape, last, kernel = layout
    assert cpu._layout(numbers(shape, last, np.float32)).kernel is kernel


def test_rows_of_few_channels_are_joined_to_long_ones():
    assert cpu._layout(numbers((640, 8), False, np.float32)).shape == (10, 512)
    assert cpu._layout(numbers((36, 8), False, np.float32)).shape == (9, 32)  # no factor of 36 is a larger power of two


def test_every_thread_gets_two_blocks_of_small_maps():
    before = get_num_threads()
    try:
        set_num_threads(1)
        assert cpu._layout(numbers((2, 32, 3, 3), False, np.float32)).shape == (2, 2, 144)
    finally:
        set_num_threads(before)


@pytest.mark.parametrize("relu", [False, True], ids=["line", "relu"])
@pytest.mark.parametrize("adding", [False, True], ids=["alone", "residual"])
def test_forward_and_backward_are_those_of_the_reference(layout, dtype, relu, adding):
    x, grad_y, residual, weight, bias = given(layout, dtype)
    y, mean, var = cpu.forward(x, weight, bias, residual=residual if adding else None, relu=relu)
    expected, cache = reference.batch_norm_forward(x, weight, bias)
    expected = expected + residual if adding else expected
    passed = grad_y * (y > 0) if relu else grad_y  # y, and not what is expected: at the edge they may differ
    close(y, np.maximum(expected, 0) if relu else expected, dtype)
    close(mean, cache.batch_mean, dtype)
    close(var, cache.batch_var, dtype)
    assert y.strides == x.strides

    found = cpu.backward(grad_y, x, mean, var, weight, bias, relu=relu, y=y if adding and relu else None)
    grad_x, grad_weight, grad_bias = reference.batch_norm_backward(passed.astype(np.float64), cache)
    if x.size // x.shape[1] > 2:  # of two values the gradient is nil but for eps
        close(found.x, grad_x, dtype)
    close(found.weight, grad_weight, dtype)
    close(found.bias, grad_bias, dtype)
    if adding and relu:
        assert_array_equal(found.residual, passed)
    else:
        assert found.residual is None


@pytest.mark.parametrize("relu", [False, True], ids=["line", "relu"])
@pytest.mark.parametrize("adding", [False, True], ids=["alone", "residual"])
def test_inference_and_its_gradient_are_those_of_the_reference(layout, dtype, relu, adding):
    x, grad_y, residual, weight, bias = given(layout, dtype)
    mean, var = np.linspace(-1, 1, x.shape[1]), np.linspace(0.5, 2, x.shape[1])
    y = cpu.inference(x, mean, var, weight, bias, residual=residual if adding else None, relu=relu)
    expected = reference.batch_norm_inference(x, weight, bias, mean, var) + (residual if adding else 0)
    close(y, np.maximum(expected, 0) if relu else expected, dtype)

    passed = grad_y * (y > 0) if relu else grad_y
    found = cpu.backward(grad_y, x, mean, var, weight, bias, relu=relu, y=y if adding and relu else None, constant=True)
    inv_std, axes = 1 / np.sqrt(var + 1e-5), (0, *range(2, x.ndim))
    close(found.x, passed * per_channel(weight * inv_std, x), dtype)
    close(found.weight, (passed * (x - per_channel(mean, x)) * per_channel(inv_std, x)).sum(axes, np.float64), dtype)
    close(found.bias, passed.sum(axes, np.float64), dtype)


def test_eps_is_the_callers(layout):
    x, grad_y, _, weight, bias = given(layout, np.float32)
    y, mean, var = cpu.forward(x, weight, bias, eps=0.3)
    expected, cache = reference.batch_norm_forward(x, weight, bias, eps=0.3)
    close(y, expected, x.dtype)
    close(cpu.inference(x, mean, var, weight, bias, eps=0.3), expected, x.dtype)
    grad_x, grad_weight, _ = reference.batch_norm_backward(grad_y.astype(np.float64), cache)
    found = cpu.backward(grad_y, x, mean, var, weight, bias, eps=0.3)
    close(found.x, grad_x, x.dtype)
    close(found.weight, grad_weight, x.dtype)


def test_the_mask_computed_again_is_that_of_the_output(layout):
    """Where x is one of few values and the shift puts one of them near the edge, another rounding would show."""
    shape, last, _ = layout
    x = laid_out(np.random.default_rng(0).integers(-3, 4, shape).astype(np.float32) / 3, last)
    weight = np.linspace(0.7, 1.3, shape[1])
    _, mean, var = cpu.forward(x, weight, np.zeros(shape[1]))
    for value in np.unique(x):
        bias = -(value - mean) * weight / np.sqrt(var + 1e-5)
        y, _, _ = cpu.forward(x, weight, bias, relu=True)
        found = cpu.backward(np.ones_like(x), x, mean, var, weight, bias, relu=True)
        assert_array_equal(found.bias, (y > 0).sum((0, *range(2, x.ndim))))


@pytest.mark.parametrize("adding", [False, True], ids=["alone", "residual"])
def test_a_relu_at_exactly_zero_passes_no_gradient(layout, adding):
    """As in torch. A constant channel with a shift of 0 is there."""
    shape, last, _ = layout
    x, one, zero = numbers(shape, last, np.float32) * 0 + 3, np.ones(shape[1]), np.zeros(shape[1])
    y, mean, var = cpu.forward(x, one, zero, residual=x * 0 if adding else None, relu=True)
    found = cpu.backward(x, x, mean, var, one, zero, relu=True, y=y if adding else None)
    assert_array_equal(found.bias, 0)
    assert_array_equal(found.x, 0)


# ---- numbers that fast code loses ----


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_a_large_mean_costs_the_variance_no_digits(layout, offset):
    shape, last, _ = layout
    if np.prod(shape) // shape[1] < 100:
        shape = (100 * shape[0], *shape[1:])
    x = numbers(shape, last, np.float32, mean=offset)
    y, mean, var = cpu.forward(x, np.ones(shape[1]), np.zeros(shape[1]))
    wide, axes = x.astype(np.float64), (0, *range(2, x.ndim))
    assert_allclose(var, wide.var(axes), rtol=1e-6)
    assert_allclose(mean, wide.mean(axes), rtol=1e-12)
    close(y, reference.batch_norm_forward(x, np.ones(shape[1]), np.zeros(shape[1]))[0], x.dtype)


def test_a_large_mean_costs_the_gradients_no_digits(layout):
    """The mean is not a number of float32 there, so what is centred by its rounding is corrected by the rest."""
    shape, last, _ = layout
    if np.prod(shape) // shape[1] < 100:
        shape = (100 * shape[0], *shape[1:])
    x, grad_y = numbers(shape, last, np.float32, mean=1e5), numbers(shape, last, np.float32, seed=1, mean=1)
    weight, bias = np.linspace(0.5, 2, shape[1]), np.zeros(shape[1])
    _, mean, var = cpu.forward(x, weight, bias)
    found = cpu.backward(grad_y, x, mean, var, weight, bias)
    _, cache = reference.batch_norm_forward(x, weight, bias)
    for one, other in zip(found, reference.batch_norm_backward(grad_y.astype(np.float64), cache), strict=False):
        close(one, other, x.dtype)


MANY = pytest.mark.parametrize(
    "shape", [(8_000_000, 1), (1_000_000, 1, 8), (31, 1, 258_065)], ids=["rows", "maps", "planes"]
)


@MANY
def test_eight_million_values_of_a_channel_keep_their_variance(shape):
    x = np.random.default_rng(0).uniform(3, 4, shape).astype(np.float32)
    _, mean, var = cpu.forward(x, np.ones(1), np.zeros(1), out=np.empty_like(x))
    assert_allclose(var, x.var(dtype=np.float64), rtol=1e-6)
    assert_allclose(mean, x.mean(dtype=np.float64), rtol=1e-9)


@MANY
def test_eight_million_values_of_a_channel_keep_the_sums_of_their_gradients(shape):
    rng = np.random.default_rng(0)
    x, grad_y = (rng.uniform(low, low + 1, shape).astype(np.float32) for low in (3, 0))
    mean, var = np.array([3.0]), np.ones(1)
    found = cpu.backward(grad_y, x, mean, var, np.ones(1), np.zeros(1), eps=0.0, constant=True, out=np.empty_like(x))
    assert_allclose(found.bias, grad_y.sum(dtype=np.float64), rtol=1e-8)
    assert_allclose(found.weight, (grad_y * (x - 3)).sum(dtype=np.float64), rtol=1e-8)


def test_one_value_far_off_at_the_start_spoils_no_pilot(layout):
    """Were it the pilot itself, the sums of squares would be of its distance from all others, and 1e-5 lost."""
    shape, last, _ = layout
    x = numbers((max(shape[0], 64), *shape[1:]), last, np.float32)
    x[0].reshape(x.shape[1], -1)[:, 0] = 1e4
    _, _, var = cpu.forward(x, np.ones(x.shape[1]), np.zeros(x.shape[1]))
    assert_allclose(var, x.astype(np.float64).var((0, *range(2, x.ndim))), rtol=3e-6)


FAR = {  # shape, and where the kernels find the values of which they take the pilot
    "columns": ((200_000, 2), (np.arange(64) * 3125 // 64, slice(2))),
    "maps": ((20_000, 4, 2, 7), slice(5)),
    "planes": ((4, 2, 400, 300), (0, slice(2), slice(64))),
}


@pytest.mark.parametrize(("shape", "looked_at"), FAR.values(), ids=FAR)
def test_a_pilot_far_from_the_mean_spoils_no_variance(shape, looked_at):
    """It is 0, and all else near 1e5: if sums were taken only once, 1e-4 of the variance would be lost.

    What is left is the rounding of a sum in float32 that holds 64 large squares: at most 128 additions of 2**-24 each.
    """
    x = numbers(shape, False, np.float32, mean=1e5)
    cpu._layout(x)(x)[looked_at] = 0
    _, mean, var = cpu.forward(x, np.ones(shape[1]), np.zeros(shape[1]))
    wide, axes = x.astype(np.float64), (0, *range(2, x.ndim))
    assert_allclose(var, wide.var(axes), rtol=128 * 2**-24)
    assert_allclose(mean, wide.mean(axes), rtol=1e-9)


def test_an_infinity_gives_the_mean_that_it_has_in_torch(layout, dtype):
    x, _, _, weight, bias = given(layout, dtype)
    x[(0, 0, *(0,) * (x.ndim - 2))] = np.inf
    y, mean, var = cpu.forward(x, weight, bias)
    assert mean[0] == np.inf
    assert np.isnan(var[0])
    assert np.isnan(y[:, 0]).all()
    assert np.isfinite(y[:, 1:]).all()


@pytest.mark.parametrize("value", [0.1, -12345.678, 3e30])
def test_a_constant_channel_gives_exactly_its_shift(layout, dtype, value):
    shape, last, _ = layout
    x = laid_out(np.full(shape, value, dtype), last)
    bias = np.linspace(-2, 2, shape[1])
    y, mean, var = cpu.forward(x, np.full(shape[1], 3.7), bias)
    assert_array_equal(y, np.broadcast_to(per_channel(bias.astype(dtype), x), shape))
    assert_array_equal(mean, dtype.type(value))
    assert_array_equal(var, 0)


def test_a_constant_channel_without_eps_is_nan_as_in_torch_and_no_error(layout, dtype):
    shape, last, _ = layout
    x, one, zero = laid_out(np.full(shape, 3, dtype), last), np.ones(shape[1]), np.zeros(shape[1])
    y, mean, var = cpu.forward(x, one, zero, eps=0.0)
    assert np.isnan(y).all()
    assert np.isnan(cpu.inference(x, mean, var, one, zero, eps=0.0)).all()
    assert np.isnan(cpu.backward(x, x, mean, var, one, zero, eps=0.0).x).all()


def test_distances_of_1e17_from_the_mean_are_safe_in_float32(layout):
    shape, last, _ = layout
    x = laid_out(np.random.default_rng(0).choice([-9e16, 9e16], shape).astype(np.float32), last)
    x[0].reshape(shape[1], -1)[:, 0] *= -1  # so that no channel of two values is constant
    y, _, var = cpu.forward(x, np.ones(shape[1]), np.zeros(shape[1]))
    assert np.isfinite(var).all()
    close(y, reference.batch_norm_forward(x, np.ones(shape[1]), np.zeros(shape[1]))[0], x.dtype)


@pytest.mark.parametrize("size", [1e18, 1e20, 1e37, 3e38])
def test_beyond_it_comes_what_is_right_or_the_shift_or_nan_and_no_other_channel_suffers(layout, size):
    shape, last, _ = layout
    x, bias = numbers(shape, last, np.float32), np.linspace(1, 2, shape[1])
    clean, _, _ = cpu.forward(x, np.ones(shape[1]), bias)
    x[:, 0] = np.random.default_rng(1).choice(np.array([-size, size], np.float32), x[:, 0].shape)
    x[(0, 0, *(0,) * (x.ndim - 2))], x[(1, 0, *(0,) * (x.ndim - 2))] = -size, size
    y, _, var = cpu.forward(x, np.ones(shape[1]), bias)
    if np.isfinite(var[0]):
        close(y[:, 0], reference.batch_norm_forward(x, np.ones(shape[1]), bias)[0][:, 0], x.dtype)
    else:
        assert (np.isnan(y[:, 0]) | (y[:, 0] == np.float32(bias[0]))).all()
    assert_array_equal(y[:, 1:], clean[:, 1:])


@pytest.mark.parametrize("relu", [False, True], ids=["line", "relu"])
def test_a_nan_spoils_its_channel_and_no_other(layout, dtype, relu):
    x, _, _, weight, bias = given(layout, dtype)
    clean, _, _ = cpu.forward(x, weight, bias, relu=relu)
    x[(1, 0, *(0,) * (x.ndim - 2))] = np.nan
    y, mean, var = cpu.forward(x, weight, bias, relu=relu)
    assert np.isnan(y[:, 0]).all()
    assert np.isnan([mean[0], var[0]]).all()
    assert_array_equal(y[:, 1:], clean[:, 1:])


# ---- as documented ----


def test_the_same_input_gives_the_same_bits_at_any_number_of_threads(layout):
    x, grad_y, residual, weight, bias = given(layout, np.float32)

    def all_of_it():
        y, mean, var = cpu.forward(x, weight, bias, residual=residual, relu=True)
        return y, mean, var, *cpu.backward(grad_y, x, mean, var, weight, bias, relu=True, y=y)

    before = get_num_threads()  # which another test may have left at 1
    if config.NUMBA_NUM_THREADS == 1:
        pytest.skip("needs two cores")
    try:
        set_num_threads(1)
        alone = all_of_it()
        set_num_threads(config.NUMBA_NUM_THREADS)
        for _ in range(3):
            for one, other in zip(alone, all_of_it(), strict=True):
                assert_array_equal(one, other)
    finally:
        set_num_threads(before)


def test_results_are_written_where_asked_and_nowhere_else(layout, dtype):
    x, grad_y, residual, weight, bias = given(layout, dtype)
    before = [array.copy() for array in (x, grad_y, residual, weight, bias)]
    frame = np.full(3 * x.size, np.nan, dtype)  # a red zone on both sides
    inside = frame[x.size : 2 * x.size]
    shape = (x.shape[0], *x.shape[2:], x.shape[1]) if layout[1] else x.shape
    out = np.moveaxis(inside.reshape(shape), -1, 1) if layout[1] else inside.reshape(shape)
    y, mean, var = cpu.forward(x, weight, bias, residual=residual, relu=True, out=out)
    assert y is out
    assert not np.isnan(inside).any()
    found = cpu.backward(grad_y, x, mean, var, weight, bias, relu=True, y=y, out=out)
    assert found.x is out
    assert np.isnan(frame[: x.size]).all()
    assert np.isnan(frame[2 * x.size :]).all()
    for array, kept in zip((x, grad_y, residual, weight, bias), before, strict=True):
        assert_array_equal(array, kept)


def test_out_may_be_any_of_the_inputs_itself(layout):
    x, grad_y, residual, weight, bias = given(layout, np.float32)
    y, mean, var = cpu.forward(x, weight, bias, residual=residual, relu=True)
    for number in range(2):
        inputs = [array.copy(order="K") for array in (x, residual)]
        cpu.forward(inputs[0], weight, bias, residual=inputs[1], relu=True, out=inputs[number])
        assert_array_equal(inputs[number], y)
        cpu.inference(x, mean, var, weight, bias, residual=inputs[number], out=inputs[number])
        assert_array_equal(inputs[number], cpu.inference(x, mean, var, weight, bias, residual=y))
    for adding in (False, True):
        found = cpu.backward(grad_y, x, mean, var, weight, bias, relu=True, y=y if adding else None)
        for number in range(2 + adding):
            inputs = [array.copy(order="K") for array in (grad_y, x, y)]
            output, out = inputs[2] if adding else None, inputs[number]
            again = cpu.backward(*inputs[:2], mean, var, weight, bias, relu=True, y=output, out=out)
            assert again.x is out
            for one, other in zip(again, found, strict=True):
                assert_array_equal(one, other)


def test_python_threads_may_launch_at_once_where_numba_has_threads_of_its_own():
    """Its "workqueue" aborts the process when two launch together; elsewhere than here it may be all there is."""
    code = (
        "import numpy as np; from concurrent.futures import ThreadPoolExecutor; from bnlab.kernels import cpu\n"
        "x, one = np.random.default_rng(0).normal(size=(500, 40)), np.ones(40)\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(lambda _: cpu.forward(x, one, one)[0], range(200)))\n"
        "assert all(np.array_equal(one, found[0]) for one in found)\n"
    )
    environment = os.environ | {"NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_strided_or_read_only_vector_is_no_reason_to_compile_again():
    cpu.forward(X, np.ones(3), np.zeros(3))
    before = list(maps.forward.signatures)
    cpu.forward(X, np.ones(6)[::2], np.broadcast_to(0.0, 3))
    assert maps.forward.signatures == before


X = np.zeros((4, 3, 5), np.float32)
READ_ONLY = X.copy()
READ_ONLY.flags.writeable = False
BAD = {
    "half": ({"x": X.astype(np.float16)}, "expected x as a NumPy array of float32 or float64, got float16"),
    "list": ({"x": [1.0]}, "expected x as a NumPy array of float32 or float64, got list"),
    "rank_1": (
        {"x": X[0, 0]},
        r"expected x of shape \(n, c, \*spatial\) with at least one value per channel, got \(5,\)",
    ),
    "empty": ({"x": X[:0]}, r"at least one value per channel, got \(0, 3, 5\)"),
    "strided": ({"x": X[:, :, ::2]}, r"expected x contiguous or channels_last, got shape \(4, 3, 3\) with strides"),
    "weight": ({"weight": np.ones(2)}, r"expected weight of shape \(3,\), one value per channel, got \(2,\)"),
    "residual": ({"residual": X[:2]}, r"expected residual like x, of shape \(4, 3, 5\), float32"),
    "out_dtype": ({"out": X.astype(np.float64)}, "expected out like x, .*, got shape .*, float64"),
    "out_tensor": ({"out": "here"}, "expected out as a NumPy array, got str"),
    "out_read_only": ({"out": READ_ONLY}, "expected out to be writeable, got a read-only array"),
    "out_layout": ({"out": np.asfortranarray(X)}, "expected out like x, .* strides"),
}


@pytest.mark.parametrize(("wrong", "message"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_line(wrong, message):
    arguments = {"x": X, "weight": np.ones(3), "bias": np.zeros(3)} | wrong
    with pytest.raises(ValueError, match=message) as raised:
        cpu.forward(**arguments)
    assert "\n" not in str(raised.value)


OF_THE_OTHERS = {
    "inference_mean": ("inference", {"mean": np.ones(2)}, r"expected mean of shape \(3,\)"),
    "inference_residual": ("inference", {"residual": X[:2]}, "expected residual like x"),
    "inference_out": ("inference", {"out": READ_ONLY}, "expected out to be writeable"),
    "backward_var": ("backward", {"var": np.ones(2)}, r"expected var of shape \(3,\)"),
    "backward_grad_y": ("backward", {"grad_y": X.astype(np.float64)}, "expected grad_y like x"),
    "backward_y": ("backward", {"y": X[:2], "relu": True}, "expected y like x"),
    "backward_out": ("backward", {"out": READ_ONLY}, "expected out to be writeable"),
}


@pytest.mark.parametrize(("name", "wrong", "message"), OF_THE_OTHERS.values(), ids=OF_THE_OTHERS)
def test_bad_input_of_the_others_gets_one_line(name, wrong, message):
    one = np.ones(3)
    arguments = {"x": X, "mean": one, "var": one, "weight": one, "bias": one} | wrong
    if name == "backward":
        arguments = {"grad_y": X} | arguments
    with pytest.raises(ValueError, match=message) as raised:
        getattr(cpu, name)(**arguments)
    assert "\n" not in str(raised.value)


def test_an_output_without_a_relu_has_no_use():
    y, mean, var = cpu.forward(X, np.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match="expected y only with relu=True"):
        cpu.backward(X, X, mean, var, np.ones(3), np.zeros(3), y=y)
