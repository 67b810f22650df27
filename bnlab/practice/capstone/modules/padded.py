"""Batch norm that knows what is padding."""

import torch
from torch import nn

from bnlab.practice.capstone.modules.cases import Batch, batches_of, case, shifted
from bnlab.practice.capstone.modules.pytorch import (
    OF_THE_BACKWARD,
    OF_THE_FORWARD,
    OF_THE_RUNNING_STATISTICS,
    OLD_MEAN,
    OLD_VAR,
)
from bnlab.practice.exercises.task import Task, mistake


class BatchNorm(nn.Module):
    """Batch norm that leaves the padding out, with a backward of your own.

    `BatchNorm(num_features, eps=1e-5, momentum=0.1)` is called as `layer(x, mask)`, with x of shape (n, c) and mask of
    shape (n,), or with x of shape (n, c, height, width) and mask of shape (n, height, width). The mask is True where
    x is real and False where it is padding.

    1. In training each channel is normalised by the mean and the biased variance of its real values.
    2. `weight` and `bias`, parameters of shape (c,), begin as 1 and 0; the output is weight * x_hat + bias where x is
       real, and 0 in the padding.
    3. `running_mean` and `running_var`, buffers of shape (c,), begin as 0 and 1. Each batch in training moves them to
       (1 - momentum) * old + momentum * new, where the new variance is the unbiased one of the real values.
    4. In evaluation the buffers normalise, and nothing moves them.
    5. The output comes from a `torch.autograd.Function` of your own, whose `backward` gives the gradients of x, weight
       and bias, in training and in evaluation. Autograd may see to reshaping and to the dtype, and to nothing else.
    """

    class Normalise(torch.autograd.Function):
        """Normalises, scales and shifts; in training gradients also pass through the statistics, which are of x."""

        @staticmethod
        def forward(ctx, x, weight, bias, mean, var, eps, training, real):
            """Keeps x_hat and the scale for the way back."""
            shape = [1, -1] + [1] * (x.ndim - 2)
            inv_std = 1 / torch.sqrt(var + eps)
            x_hat = (x - mean.reshape(shape)) * inv_std.reshape(shape) * real
            ctx.save_for_backward(x_hat, real, weight * inv_std)
            ctx.shape, ctx.training = shape, training
            return (weight.reshape(shape) * x_hat + bias.reshape(shape)) * real

        @staticmethod
        def backward(ctx, grad_y):
            """In training, what lies along 1 and along x_hat is taken out of the gradient, where x is real."""
            x_hat, real, scale = ctx.saved_tensors
            axes = [axis for axis in range(x_hat.ndim) if axis != 1]
            count = real.sum()
            grad_y = grad_y * real
            grad_bias = grad_y.sum(axes)
            grad_weight = (grad_y * x_hat).sum(axes)
            grad_x = grad_y
            if ctx.training:
                grad_x = grad_x - (grad_bias / count).reshape(ctx.shape)
                grad_x = grad_x - x_hat * (grad_weight / count).reshape(ctx.shape)
            return scale.reshape(ctx.shape) * grad_x * real, grad_weight, grad_bias, None, None, None, None, None

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x, mask):
        """Normalise x by the statistics of its real values in training, else by the running ones."""
        real = mask.unsqueeze(1).to(x.dtype)
        if self.training:
            values, count = x.detach(), real.sum()
            axes = [axis for axis in range(x.ndim) if axis != 1]
            mean = (values * real).sum(axes, keepdim=True) / count
            var = ((values - mean).square() * real).sum(axes) / count
            mean = mean.flatten()
            unbiased_var = var * count / (count - 1)
            self.running_mean.copy_((1 - self.momentum) * self.running_mean + self.momentum * mean)
            self.running_var.copy_((1 - self.momentum) * self.running_var + self.momentum * unbiased_var)
        else:
            mean, var = self.running_mean, self.running_var
        return self.Normalise.apply(x, self.weight, self.bias, mean, var, self.eps, self.training, real)


REAL_COUNT = "values, count = x.detach(), real.sum()"
ALL_COUNT = "values, count = x.detach(), torch.tensor(x.numel() / x.shape[1])"
SUM = "mean = (values * real).sum(axes, keepdim=True) / count"
SQUARES = "((values - mean).square() * real).sum(axes) / count"
NEW_VAR = "var * count / (count - 1)"


def padded(batches: list[Batch], seed: int) -> list[Batch]:
    """The batches with a mask each, under which most is real; what is padding holds 7, to be seen where it enters."""
    found: list[Batch] = []
    for number, (x,) in enumerate(batches):
        draw = torch.Generator().manual_seed(seed + number)
        real = (torch.rand(len(x), *x.shape[2:], generator=draw) < 0.75).numpy()
        real.reshape(-1)[[0, -1]] = True, number == 1
        real.reshape(-1)[1:2] = True
        x[~real[:, None].repeat(x.shape[1], axis=1)] = 7
        found.append((x, real))
    return found


TASK = Task(
    id="capstone_padded",
    chapter="16",
    level="stretch",
    solution=BatchNorm,
    returns=("output",),
    cases=(
        case("four rows, two channels", {"eps": 1e-5, "momentum": 0.25}, padded(batches_of(0, 4, 2), 0)),
        case("8 rows, 3 channels, its defaults", {}, padded(batches_of(10, 8, 3), 10)),
        case("a variance near eps", {"eps": 1e-5, "momentum": 0.5}, padded(batches_of(20, 6, 2, divide_by=512), 20)),
        case("mean 5000", {"eps": 1e-5, "momentum": 0.25}, padded(shifted(30, 8, 2), 30), cancels=True),
        case("two images, one channel", {"eps": 0.125, "momentum": 0.25}, padded(batches_of(40, 2, 1, 2, 2), 40)),
        case("4 images, 3 channels, 2 x 3", {}, padded(batches_of(50, 4, 3, 2, 3), 50)),
    ),
    mistakes=(
        *OF_THE_FORWARD,
        *OF_THE_BACKWARD,
        *OF_THE_RUNNING_STATISTICS,
        mistake(
            "padding-counted",
            REAL_COUNT,
            ALL_COUNT,
            SUM,
            SUM.replace(" * real", ""),
            SQUARES,
            "(values - mean).square().mean(axes)",
        ),
        mistake("padding-in-the-divisor", REAL_COUNT, ALL_COUNT),
        mistake(
            "padding-in-the-divisor",
            "count = real.sum()\n            grad_y",
            "count = real.numel()\n            grad_y",
        ),
        mistake("padding-in-the-spread", SQUARES, SQUARES.replace(" * real", "")),
        mistake("padding-not-zero", "bias.reshape(shape)) * real", "bias.reshape(shape))"),
        mistake("gradient-of-padding", "grad_y = grad_y * real", "grad_y = grad_y"),
        mistake("gradient-of-padding", "* grad_x * real", "* grad_x"),
        mistake("unbiased-normalisation", SQUARES, SQUARES.replace("/ count", "/ (count - 1)"), NEW_VAR, "var"),
        mistake("biased-running-var", NEW_VAR, "var"),
        mistake("unbiased-inverted", NEW_VAR, "var * (count - 1) / count"),
        mistake(
            "momentum-flipped",
            OLD_MEAN + " + self.momentum * mean",
            "self.momentum * self.running_mean + (1 - self.momentum) * mean",
            OLD_VAR + " + self.momentum * unbiased_var",
            "self.momentum * self.running_var + (1 - self.momentum) * unbiased_var",
        ),
        mistake("other-defaults", "eps=1e-5, momentum=0.1", "eps=1e-3, momentum=0.1"),
    ),
    hints=(),
    after="Every number agrees, on features and on maps, forward and back, in training and in evaluation.",
)
