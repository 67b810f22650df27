"""Batch norm as PyTorch has it."""

import torch
from torch import nn

from bnlab.practice.capstone.modules.cases import batches_of, case, shifted
from bnlab.practice.exercises.task import Task, mistake


class BatchNorm(nn.Module):
    """Batch norm by PyTorch's conventions, with a backward of your own.

    `BatchNorm(num_features, eps=1e-5, momentum=0.1)` is called with x of shape (n, c) or (n, c, height, width).

    1. In training each channel is normalised by its mean and its biased variance, over all axes but that of c.
    2. `weight` and `bias`, parameters of shape (c,), begin as 1 and 0; the output is weight * x_hat + bias.
    3. `running_mean` and `running_var`, buffers of shape (c,), begin as 0 and 1. Each batch in training moves them to
       (1 - momentum) * old + momentum * new, where the new variance is the unbiased one.
    4. In evaluation the buffers normalise, and nothing moves them.
    5. The output comes from a `torch.autograd.Function` of your own, whose `backward` gives the gradients of x, weight
       and bias, in training and in evaluation. Autograd may see to reshaping and to the dtype, and to nothing else.
    """

    class Normalise(torch.autograd.Function):
        """Normalises, scales and shifts; in training gradients also pass through the statistics, which are of x."""

        @staticmethod
        def forward(ctx, x, weight, bias, mean, var, eps, training):
            """Keeps x_hat and the scale for the way back."""
            shape = [1, -1] + [1] * (x.ndim - 2)
            inv_std = 1 / torch.sqrt(var + eps)
            x_hat = (x - mean.reshape(shape)) * inv_std.reshape(shape)
            ctx.save_for_backward(x_hat, weight * inv_std)
            ctx.shape, ctx.training = shape, training
            return weight.reshape(shape) * x_hat + bias.reshape(shape)

        @staticmethod
        def backward(ctx, grad_y):
            """In training, what lies along 1 and along x_hat is taken out of the gradient."""
            x_hat, scale = ctx.saved_tensors
            axes = [axis for axis in range(x_hat.ndim) if axis != 1]
            count = x_hat.numel() // x_hat.shape[1]
            grad_bias = grad_y.sum(axes)
            grad_weight = (grad_y * x_hat).sum(axes)
            grad_x = grad_y
            if ctx.training:
                grad_x = grad_x - (grad_bias / count).reshape(ctx.shape)
                grad_x = grad_x - x_hat * (grad_weight / count).reshape(ctx.shape)
            return scale.reshape(ctx.shape) * grad_x, grad_weight, grad_bias, None, None, None, None

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        """Normalise x by its own statistics in training, else by the running ones."""
        values, axes = x.detach(), [axis for axis in range(x.ndim) if axis != 1]
        if self.training:
            var, mean = torch.var_mean(values, axes, correction=0)
            count = x.numel() / x.shape[1]
            unbiased_var = var * count / (count - 1)
            self.running_mean.copy_((1 - self.momentum) * self.running_mean + self.momentum * mean)
            self.running_var.copy_((1 - self.momentum) * self.running_var + self.momentum * unbiased_var)
        else:
            mean, var = self.running_mean, self.running_var
        return self.Normalise.apply(x, self.weight, self.bias, mean, var, self.eps, self.training)


INV_STD = "1 / torch.sqrt(var + eps)"
STATISTICS = "var, mean = torch.var_mean(values, axes, correction=0)"
NEW_VAR = "var * count / (count - 1)"
CENTRED = "(x - mean.reshape(shape))"
OUTPUT = "weight.reshape(shape) * x_hat + bias.reshape(shape)"
ALONG_ONE = "grad_x = grad_x - (grad_bias / count).reshape(ctx.shape)"
ALONG_X_HAT = "grad_x = grad_x - x_hat * (grad_weight / count).reshape(ctx.shape)"
OLD_MEAN, OLD_VAR = "(1 - self.momentum) * self.running_mean", "(1 - self.momentum) * self.running_var"
RUNNING = "mean, var = self.running_mean, self.running_var"

OF_THE_FORWARD = (
    mistake("eps-outside-sqrt", INV_STD, "1 / (torch.sqrt(var) + eps)"),
    mistake("eps-missing", INV_STD, "1 / torch.sqrt(var)"),
    mistake("std-not-variance", INV_STD, "1 / (var + eps)"),
    mistake("not-centred", CENTRED, "x"),
    mistake("affine-ignored", OUTPUT, "x_hat"),
    mistake("affine-swapped", OUTPUT, "bias.reshape(shape) * x_hat + weight.reshape(shape)"),
    mistake("affine-swapped", OUTPUT, "weight.reshape(shape) * (x_hat + bias.reshape(shape))"),
)
OF_THE_BACKWARD = (
    mistake("stats-detached", "if ctx.training:", "if False:"),
    mistake("missing-mean-gradient", ALONG_ONE, "pass"),
    mistake("missing-var-gradient", ALONG_X_HAT, "pass"),
    mistake("batch-gradient-in-evaluation", "if ctx.training:", "if True:"),
    mistake("division-by-count-missing", "(grad_bias / count)", "grad_bias", "(grad_weight / count)", "grad_weight"),
    mistake("division-by-count-missing", "(grad_bias / count)", "grad_bias"),
    mistake("division-by-count-missing", "(grad_weight / count)", "grad_weight"),
    mistake("gamma-counted-twice", "weight * inv_std)", "weight * weight * inv_std)"),
    mistake("affine-ignored", "weight * inv_std)", "inv_std)"),
    mistake("wrong-power", "weight * inv_std)", "weight * inv_std**3)"),
    mistake("gradients-swapped", "grad_weight, grad_bias, None", "grad_bias, grad_weight, None"),
)
OF_THE_RUNNING_STATISTICS = (
    mistake("running-stats-never-updated", ".copy_(", ".add("),
    mistake("running-var-from-zero", '"running_var", torch.ones', '"running_var", torch.zeros'),
    mistake("updates-in-eval", "if self.training:", "if True:", "else:", "if not self.training:"),
    mistake("eval-uses-batch-stats", "if self.training:", "if True:"),
    mistake("mode-from-grad", "self.training", "torch.is_grad_enabled()"),
    mistake("train-uses-running-stats", "else:", "if True:"),
    mistake(
        "stats-not-buffers",
        'self.register_buffer("running_mean", torch.zeros(num_features))',
        "self.running_mean = torch.zeros(num_features)",
        'self.register_buffer("running_var", torch.ones(num_features))',
        "self.running_var = torch.ones(num_features)",
    ),
)

TASK = Task(
    id="capstone_pytorch",
    chapter="16",
    level="stretch",
    solution=BatchNorm,
    returns=("output",),
    cases=(
        case("three rows, two channels", {"eps": 1e-5, "momentum": 0.25}, batches_of(0, 3, 2)),
        case("5 rows, 3 channels, its defaults", {}, batches_of(10, 5, 3)),
        case("a variance near eps", {"eps": 1e-5, "momentum": 0.5}, batches_of(20, 4, 2, divide_by=512)),
        case("float32, mean 5000", {"eps": 1e-5, "momentum": 0.25}, shifted(30, 6, 2), cancels=True),
        case("two images, one channel", {"eps": 0.125, "momentum": 0.25}, batches_of(40, 2, 1, 1, 2)),
        case("4 images, 3 channels, 2 x 3", {}, batches_of(50, 4, 3, 2, 3)),
    ),
    mistakes=(
        *OF_THE_FORWARD,
        *OF_THE_BACKWARD,
        *OF_THE_RUNNING_STATISTICS,
        mistake("eval-uses-batch-stats", RUNNING, STATISTICS),
        mistake("unbiased-normalisation", STATISTICS, STATISTICS.replace("=0", "=1"), NEW_VAR, "var"),
        mistake("unbiased-normalisation", STATISTICS, STATISTICS.replace("=0", "=1")),
        mistake("biased-running-var", NEW_VAR, "var"),
        mistake("unbiased-inverted", NEW_VAR, "var * (count - 1) / count"),
        mistake(
            "one-pass-cancellation", STATISTICS, "mean = values.mean(axes); var = (values**2).mean(axes) - mean**2"
        ),
        mistake(
            "global-statistics",
            STATISTICS,
            "var, mean = (one.expand(x.shape[1]) for one in torch.var_mean(values, correction=0))",
        ),
        mistake(
            "momentum-flipped",
            OLD_MEAN + " + self.momentum * mean",
            "self.momentum * self.running_mean + (1 - self.momentum) * mean",
            OLD_VAR + " + self.momentum * unbiased_var",
            "self.momentum * self.running_var + (1 - self.momentum) * unbiased_var",
        ),
        mistake("other-defaults", "eps=1e-5, momentum=0.1", "eps=1e-3, momentum=0.1"),
        mistake("other-defaults", "eps=1e-5, momentum=0.1", "eps=1e-5, momentum=0.01"),
    ),
    hints=(),
    after="Every number agrees, on features and on maps, forward and back, in training and in evaluation.",
)
