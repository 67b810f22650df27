"""What the family refuses, in which words, and that it leaves its arguments alone."""

import re

import jaxtyping
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bnlab.reference import family
from tests.reference.family.members import MEMBERS, draw

IMAGE, ONES, ZEROS = np.arange(24.0).reshape(1, 6, 2, 2) ** 2, np.ones(6), np.zeros(6)
LAST = {"x": np.arange(12.0).reshape(3, 4), "gamma": np.ones(4), "beta": np.zeros(4)}
PER_CHANNEL = {"x": IMAGE, "gamma": ONES, "beta": ZEROS}
RENORM = PER_CHANNEL | {"running_mean": ZEROS, "running_std": ONES, "r_max": 3.0, "d_max": 5.0}
CALLS = {
    "layer_norm": LAST,
    "rms_norm": {name: LAST[name] for name in ("x", "gamma")},
    "instance_norm": PER_CHANNEL,
    "group_norm": PER_CHANNEL | {"groups": 3},
    "batch_renorm": RENORM,
    "ghost_batch_norm": PER_CHANNEL | {"ghost_size": 1},
    "filter_response_norm": PER_CHANNEL | {"tau": ZEROS},
    "weight_standardise": {"weight": IMAGE},
    "dynamic_tanh": LAST | {"alpha": 0.5},
    "dynamic_erf": LAST | {"alpha": 0.5, "shift": 0.0},
}
assert CALLS.keys() == MEMBERS.keys()

HALF, WHOLE = np.float16, np.int64
TRAILING = ("layer_norm", "rms_norm", "dynamic_tanh", "dynamic_erf")
CHANNELS = ("instance_norm", "group_norm", "batch_renorm", "ghost_batch_norm", "filter_response_norm")
NORMS = ("layer_norm", "rms_norm", "instance_norm", "group_norm", "filter_response_norm", "weight_standardise")
GAMMA = "gamma must have the shape of the last axes of x, whose shape is (3, 4), got"
BAD_INPUT = [
    *[(name, {"x": LAST["x"].astype(HALF)}, "x must be float32 or float64, got float16") for name in TRAILING],
    *[(name, {"gamma": np.ones(4, WHOLE)}, "gamma must be float32 or float64, got int64") for name in TRAILING],
    *[(name, {"gamma": np.ones(3)}, f"{GAMMA} (3,)") for name in TRAILING],  # the first axis of x
    *[(name, {"gamma": np.ones(1)}, f"{GAMMA} (1,)") for name in TRAILING],  # broadcasts
    *[(name, {"gamma": np.ones((1, 3, 4))}, f"{GAMMA} (1, 3, 4)") for name in TRAILING],
    *[(name, {"gamma": np.array(1.0)}, "gamma must have the axes that are normalised") for name in TRAILING],
    *[
        (name, {"beta": np.ones(1)}, "beta must have the shape of gamma, (4,), got (1,)")
        for name in TRAILING
        if name != "rms_norm"
    ],
    ("layer_norm", {"beta": np.ones(4, HALF)}, "beta must be float32 or float64, got float16"),
    *[
        (name, {"x": np.ones((3, 0)), "gamma": np.ones(0)}, "x must have at least one element to take statistics of")
        for name in ("rms_norm",)
    ],
    (
        "layer_norm",
        {"x": np.ones((3, 0)), "gamma": np.ones(0), "beta": np.ones(0)},
        "x must have at least one element to take statistics of, got shape (3, 0)",
    ),
    *[(name, {"x": IMAGE.astype(WHOLE)}, "x must be float32 or float64, got int64") for name in CHANNELS],
    *[(name, {"x": np.ones(6)}, "x must have shape (n, c, *spatial), got (6,)") for name in CHANNELS],
    *[(name, {"x": np.ones((2, 0))}, "x must have at least one channel, got shape (2, 0)") for name in CHANNELS],
    *[(name, {"x": np.ones((2, 6, 0))}, "x must have at least one element") for name in CHANNELS],
    *[
        (name, {"gamma": np.ones(1)}, "gamma must have shape (6,), one value per channel, got (1,)")
        for name in CHANNELS
    ],
    *[(name, {"beta": np.ones(1)}, "beta must have shape (6,), one value per channel, got (1,)") for name in CHANNELS],
    ("filter_response_norm", {"tau": np.ones(1)}, "tau must have shape (6,), one value per channel, got (1,)"),
    *[
        (name, {"eps": eps}, f"eps must be positive and finite, got {eps}")
        for name in (*NORMS, "ghost_batch_norm", "batch_renorm")
        for eps in (0.0, np.nan)
    ],
    *[("group_norm", {"groups": n}, f"groups must divide the 6 channels evenly, got {n}") for n in (0, -2, 4, 12)],
    *[
        (
            "ghost_batch_norm",
            {"ghost_size": n},
            f"x must have a multiple of ghost_size examples, got 1 for a ghost_size of {n}",
        )
        for n in (0, -1, 2)
    ],
    ("ghost_batch_norm", {"x": np.ones((0, 6))}, "x must have a multiple of ghost_size examples, got 0"),
    (
        "batch_renorm",
        {"running_mean": np.ones(1)},
        "running_mean must have shape (6,), one value per channel, got (1,)",
    ),
    ("batch_renorm", {"running_std": np.ones(1)}, "running_std must have shape (6,), one value per channel, got (1,)"),
    ("batch_renorm", {"running_std": ZEROS}, "running_std must be positive, got 0.0"),
    ("batch_renorm", {"r_max": 0.5}, "r_max must be at least 1, got 0.5"),
    ("batch_renorm", {"r_max": np.nan}, "r_max must be at least 1, got nan"),
    ("batch_renorm", {"d_max": -1.0}, "d_max must be at least 0, got -1.0"),
    ("batch_renorm", {"d_max": np.nan}, "d_max must be at least 0, got nan"),
    ("batch_renorm", {"x": np.ones((0, 6))}, "x must have at least one element per channel"),
    ("weight_standardise", {"weight": np.ones((2, 3), HALF)}, "weight must be float32 or float64, got float16"),
    ("weight_standardise", {"weight": np.ones(3)}, "weight must have shape (out, *fan_in)"),
    ("weight_standardise", {"weight": np.ones((2, 0))}, "with at least one weight, got (2, 0)"),
    *[
        (name, {"alpha": np.ones(1)}, "alpha must be one number, got shape (1,)")
        for name in ("dynamic_tanh", "dynamic_erf")
    ],
    ("dynamic_erf", {"shift": np.ones(4)}, "shift must be one number, got shape (4,)"),
]


@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize(("name", "bad", "message"), BAD_INPUT, ids=[f"{n}-{m}" for n, _, m in BAD_INPUT])
def test_bad_input_is_refused_in_one_line(name, bad, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        MEMBERS[name].forward(**CALLS[name] | bad)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize("name", MEMBERS)
def test_a_gradient_unlike_the_output_is_refused(name):
    y, cache = MEMBERS[name].forward(**CALLS[name])
    for bad in (np.ones(y.shape[1:]), np.ones((*y.shape, 1)), y.swapaxes(0, 1)):
        message = f"grad_y must have the input's shape {y.shape}, got {bad.shape}"
        with pytest.raises(ValueError, match=re.escape(message)):
            MEMBERS[name].backward(bad, cache)
    with pytest.raises(ValueError, match="grad_y must be float32 or float64, got int64"):
        MEMBERS[name].backward(y.astype(WHOLE), cache)


@pytest.mark.parametrize("name", MEMBERS)
def test_the_shape_checker_is_awake(name):
    first = next(iter(CALLS[name]))
    with pytest.raises(jaxtyping.TypeCheckError):
        MEMBERS[name].forward(**CALLS[name] | {first: CALLS[name][first].astype(WHOLE)})


def arrays_in(value):
    if isinstance(value, tuple):
        return [array for part in value for array in arrays_in(part)]
    return [value] if isinstance(value, np.ndarray) else []


@pytest.mark.parametrize("name", MEMBERS)
def test_arguments_are_neither_changed_nor_returned(rng, name):
    member = MEMBERS[name]
    arguments, options = draw(rng, member, next(iter(member.cases)))
    given = arrays_in((*arguments, *options.values()))
    before = [array.copy() for array in given]
    y, cache = member.forward(*arguments, **options)
    kept = [array.copy() for array in arrays_in(cache)]
    grad_y = rng.normal(size=y.shape)
    gradients = member.backward(grad_y, cache)

    for array, copy in zip([*given, *arrays_in(cache)], [*before, *kept], strict=True):
        assert_array_equal(array, copy)
    for made in arrays_in((y, cache)):
        assert not any(np.shares_memory(made, array) for array in given)
    for cached in arrays_in(cache):
        assert not np.shares_memory(y, cached)
    for gradient in arrays_in((gradients,)):
        assert not any(np.shares_memory(gradient, array) for array in [grad_y, *given, *arrays_in(cache)])


def test_every_member_is_exported_as_a_pair():
    pairs = {name.removesuffix("_forward") for name in family.__all__ if name.endswith("_forward")}
    assert pairs == MEMBERS.keys()
    assert all(f"{name}_backward" in family.__all__ for name in pairs)
