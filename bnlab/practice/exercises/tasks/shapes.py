"""Exercises on shapes and counts: what batch norm computes and keeps, without computing it."""

from bnlab.practice.exercises.task import Case, Task, mistake


def predict_shapes(x_shape):
    """For an input of shape (n, c, *spatial): the shape of the batch mean, the shape of the output, and m.

    m is the number of values that share one mean.
    """
    n, c, *spatial = x_shape
    count = n
    for size in spatial:
        count = count * size
    return (c,), tuple(x_shape), count


def count_parameters(num_features):
    """How many numbers of a BatchNorm layer the optimiser trains, and how many its running statistics hold.

    The counter of batches is left out.
    """
    return 2 * num_features, 2 * num_features


TASKS = (
    Task(
        id="predict_shapes",
        chapter="01",
        level="easy",
        solution=predict_shapes,
        returns=("mean_shape", "y_shape", "count"),
        cases=(
            Case("four rows, two columns", ((4, 2),)),
            Case("images of 3 channels", ((32, 3, 8, 6),)),
            Case("a series", ((5, 7, 11),)),
            Case("volumes", ((2, 4, 3, 5, 7),)),
            Case("one image", ((1, 16, 9, 9),)),
        ),
        mistakes=(
            mistake("layer-norm-axes", "(c,)", "(n,)", "count = n", "count = c"),
            mistake("layer-norm-axes", "(c,)", "(n,)"),
            mistake("global-statistics", "(c,)", "()", "count = n", "count = n * c"),
            mistake("global-statistics", "(c,)", "()"),
            mistake("wrong-axes", "(c,)", "(c, *spatial)", "count = count * size", "pass"),
            mistake("wrong-axes", "(c,)", "(c, *spatial)"),
            mistake("wrong-axes", "(c,)", "(n, c)", "count = n", "count = 1"),
            mistake("wrong-axes", "(c,)", "(n, c)"),
            mistake("wrong-axes", "(c,)", "(x_shape[-1],)"),
            mistake("positions-not-counted", "count = count * size", "pass"),
        ),
        hints=(
            "One mean for each channel. Which axes disappear, and how many values meet in one mean?",
            "The mean has shape (c,). The output has the shape of the input. m is n times every spatial size.",
        ),
        after="For an image m is batch times height times width: 32 images of 8 x 8 give 2,048 values for each mean.",
    ),
    Task(
        id="count_parameters",
        chapter="01",
        level="easy",
        solution=count_parameters,
        returns=("trained", "kept"),
        cases=(Case("1 feature", (1,)), Case("64 features", (64,)), Case("512 features", (512,))),
        mistakes=(
            mistake("buffers-counted", "return 2 * num_features", "return 4 * num_features"),
            mistake("buffers-counted", "return 2 * num_features, 2 * num_features", "return 4 * num_features, 0"),
            mistake("affine-ignored", "return 2 * num_features", "return num_features"),
            mistake("affine-ignored", "return 2 * num_features", "return 0"),
            mistake("global-statistics", "2 * num_features, 2 * num_features", "2 * num_features, 2"),
            mistake("global-statistics", "2 * num_features, 2 * num_features", "2, 2"),
        ),
        hints=(
            "Which numbers of the layer get a gradient? Which does it only keep?",
            "Trained: gamma and beta, one of each per feature. Kept: a running mean and variance per feature.",
        ),
        after="As many numbers are kept as are trained; a checkpoint holds both, the optimiser sees half of them.",
    ),
)
