"""Batch norm as Keras has it: channels last, another momentum, another running variance, another epsilon."""

import torch
from torch import nn

from bnlab.practice.capstone.modules.cases import batches_of, case, shifted
from bnlab.practice.capstone.modules.pytorch import OF_THE_BACKWARD, OF_THE_FORWARD, OF_THE_RUNNING_STATISTICS, RUNNING
from bnlab.practice.exercises.task import Task, mistake


class BatchNorm(nn.Module):
    """Batch norm by Keras's conventions, in torch, with a backward of your own.

    `BatchNorm(num_features, eps=1e-3, momentum=0.99)` is called with x of shape (n, c) or (n, height, width, c).

    1. In training each channel is normalised by its mean and its biased variance, over all axes but the last.
    2. `weight` and `bias`, parameters of shape (c,), begin as 1 and 0; the output is weight * x_hat + bias.
    3. `running_mean` and `running_var`, buffers of shape (c,), begin as 0 and 1. Each batch in training moves them to
       momentum * old + (1 - momentum) * new: momentum weighs the old, and the new variance is the biased one.
    4. In evaluation the buffers normalise, and nothing moves them.
    5. The output comes from a `torch.autograd.Function` of your own, whose `backward` gives the gradients of x, weight
       and bias, in training and in evaluation. Autograd may see to reshaping and to the dtype, and to nothing else.
    """

    class Normalise(torch.autograd.Function):
        """Normalises, scales and shifts; in training gradients also pass through the statistics, which are of x."""

        @staticmethod
        def forward(ctx, x, weight, bias, mean, var, eps, training):
            """Keeps x_hat and the scale for the way back."""
            shape = [1] * (x.ndim - 1) + [-1]
            inv_std = 1 / torch.sqrt(var + eps)
            x_hat = (x - mean.reshape(shape)) * inv_std.reshape(shape)
            ctx.save_for_backward(x_hat, weight * inv_std)
            ctx.shape, ctx.training = shape, training
            return weight.reshape(shape) * x_hat + bias.reshape(shape)

        @staticmethod
        def backward(ctx, grad_y):
            """In training, what lies along 1 and along x_hat is taken out of the gradient."""
            x_hat, scale = ctx.saved_tensors
            axes = list(range(x_hat.ndim - 1))
            count = x_hat.numel() // x_hat.shape[-1]
            grad_bias = grad_y.sum(axes)
            grad_weight = (grad_y * x_hat).sum(axes)
            grad_x = grad_y
            if ctx.training:
                grad_x = grad_x - (grad_bias / count).reshape(ctx.shape)
                grad_x = grad_x - x_hat * (grad_weight / count).reshape(ctx.shape)
            return scale.reshape(ctx.shape) * grad_x, grad_weight, grad_bias, None, None, None, None

    def __init__(self, num_features, eps=1e-3, momentum=0.99):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        """Normalise x by its own statistics in training, else by the running ones."""
        values, axes = x.detach(), list(range(x.ndim - 1))
        if self.training:
            var, mean = torch.var_mean(values, axes, correction=0)
            self.running_mean.copy_(self.momentum * self.running_mean + (1 - self.momentum) * mean)
            self.running_var.copy_(self.momentum * self.running_var + (1 - self.momentum) * var)
        else:
            mean, var = self.running_mean, self.running_var
        return self.Normalise.apply(x, self.weight, self.bias, mean, var, self.eps, self.training)


STATISTICS = "var, mean = torch.var_mean(values, axes, correction=0)"
OLD_AND_NEW_MEAN = "self.momentum * self.running_mean + (1 - self.momentum) * mean"
OLD_AND_NEW_VAR = "self.momentum * self.running_var + (1 - self.momentum) * var"
COUNT = "(x.numel() / x.shape[-1])"
UNBIASED = f"var * {COUNT} / ({COUNT} - 1)"

TASK = Task(
    id="capstone_keras",
    chapter="16",
    level="stretch",
    solution=BatchNorm,
    returns=("output",),
    cases=(
        case("three rows, two channels", {"eps": 1e-3, "momentum": 0.75}, batches_of(0, 3, 2)),
        case("5 rows, 3 channels, its defaults", {}, batches_of(10, 5, 3)),
        case("a variance near eps", {"eps": 1e-3, "momentum": 0.5}, batches_of(20, 4, 2, divide_by=64)),
        case("float32, mean 5000", {"eps": 1e-3, "momentum": 0.75}, shifted(30, 6, 2), cancels=True),
        case("two images, one channel", {"eps": 0.125, "momentum": 0.75}, batches_of(40, 2, 1, 2, 1), axis=-1),
        case("4 images, 3 x 2, 3 channels", {}, batches_of(50, 4, 3, 2, 3), axis=-1),
    ),
    mistakes=(
        *OF_THE_FORWARD,
        *OF_THE_BACKWARD,
        *OF_THE_RUNNING_STATISTICS,
        mistake("eval-uses-batch-stats", RUNNING, STATISTICS),
        mistake("unbiased-running-var", OLD_AND_NEW_VAR, OLD_AND_NEW_VAR.removesuffix("var") + UNBIASED),
        mistake("unbiased-normalisation", STATISTICS, STATISTICS.replace("=0", "=1")),
        mistake(
            "one-pass-cancellation", STATISTICS, "mean = values.mean(axes); var = (values**2).mean(axes) - mean**2"
        ),
        mistake(
            "global-statistics",
            STATISTICS,
            "var, mean = (one.expand(x.shape[-1]) for one in torch.var_mean(values, correction=0))",
        ),
        mistake(
            "momentum-of-pytorch",
            OLD_AND_NEW_MEAN,
            "(1 - self.momentum) * self.running_mean + self.momentum * mean",
            OLD_AND_NEW_VAR,
            "(1 - self.momentum) * self.running_var + self.momentum * var",
        ),
        mistake("other-defaults", "eps=1e-3, momentum=0.99", "eps=1e-5, momentum=0.99"),
        mistake("other-defaults", "eps=1e-3, momentum=0.99", "eps=1e-3, momentum=0.9"),
    ),
    hints=(),
    after="Every number agrees, on features and on maps, forward and back, in training and in evaluation.",
)
