"""Mistakes that any function can have: the code ran badly, or what it returned is no answer."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

OF_ANY_FUNCTION = {
    "mutates-input": Misconception(
        "The function changes the arrays it was given (`x -= mean` works in place; so does `+=` on a running mean). "
        "The caller still needs them. Compute new arrays: `x = x - mean`.",
        "",
    ),
    "wrong-dtype": Misconception(
        "float32 or float64 was expected, of the same kind as the input. Half precision keeps three digits, integers "
        "none after the point.",
        "",
    ),
    "returns-none": Misconception("Is the `return` missing, or on one branch only?", ""),
    "wrong-shape": Misconception(
        (
            "Look at the axes: which sums keep a dimension (`keepdims`), and which values are one per channel, shape "
            "`(c,)`?"
        ),
        "",
    ),
    "wrong-number-of-results": Misconception(
        "The stub's docstring says what is to be returned, and in which order. Several results are returned together: "
        "`return first, second`.",
        "",
    ),
    "results-swapped": Misconception(
        "Two results have changed places. The stub says in which order they come; not every library has the same: "
        "`torch.var_mean` gives the variance first.",
        "",
    ),
    "raises": Misconception(
        "Print what that line works with, just before it: the shape of an array, the class of an object. The arguments "
        "come in the order of the stub.",
        "",
    ),
    "too-slow": Misconception(
        "A loop that never ends? The arrays are small: a right answer takes milliseconds, with Python loops too.", ""
    ),
}
