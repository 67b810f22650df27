"""Exercises on the whole layer: an `nn.Module`, a published one with two mistakes, and recalibration."""

import torch
from torch import nn

from bnlab.practice.exercises.task import Task, mistake
from bnlab.practice.exercises.tasks.module_trials import LAYER_CASES, MODEL_CASES, try_layer, try_recalibration


class BatchNorm(nn.Module):
    """Batch norm of images: parameters weight and bias, running statistics that are saved with the model."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        """Normalise x, of shape (n, c, height, width): by its own statistics in training, else by the running ones."""
        if self.training:
            var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            with torch.no_grad():
                unbiased_var = var * x.numel() / (x.numel() - x.shape[1])
                self.running_mean.copy_((1 - self.momentum) * self.running_mean + self.momentum * mean)
                self.running_var.copy_((1 - self.momentum) * self.running_var + self.momentum * unbiased_var)
        else:
            mean, var = self.running_mean, self.running_var
        x_hat = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + self.eps)
        return self.weight[:, None, None] * x_hat + self.bias[:, None, None]


STUB = '''
class BatchNorm(nn.Module):
    """Batch norm of images: parameters weight and bias, running statistics that are saved with the model."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        ...

    def forward(self, x):
        """Normalise x, of shape (n, c, height, width): by its own statistics in training, else by the running ones."""
        ...
'''.strip()


def recalibrate(model, loader):
    """Set the running statistics of model[1], a BatchNorm1d, to those of all data; everything else stays as it is.

    model[0] is a linear layer; the loader's batches may differ in size. The variance is the unbiased one, of all the
    values that reach model[1].
    """
    norm = model[1]
    with torch.no_grad():
        values = torch.cat([model[0](x) for x in loader])
        norm.running_mean.copy_(values.mean(0))
        norm.running_var.copy_(values.var(0, correction=1))


STATISTICS = "var, mean = torch.var_mean(x, (0, 2, 3), correction=0)"
NEXT_LINE = "\n            "
UNBIASED = "var * x.numel() / (x.numel() - x.shape[1])"
ROOT = "torch.sqrt(var[:, None, None] + self.eps)"
LAST = "self.weight[:, None, None] * x_hat + self.bias[:, None, None]"
WEIGHT, BIAS = LAST.split(" * x_hat + ")
OLD_MEAN, OLD_VAR = "(1 - self.momentum) * self.running_mean", "(1 - self.momentum) * self.running_var"
PLAIN_MEAN = (
    'self.register_buffer("running_mean", torch.zeros(num_features))',
    "self.running_mean = torch.zeros(num_features)",
)
PLAIN_VAR = (
    'self.register_buffer("running_var", torch.ones(num_features))',
    "self.running_var = torch.ones(num_features)",
)
MODE = ("if self.training:", "if torch.is_grad_enabled():")
AS_FOUND = (  # the published code has no docstrings
    *(f'"""{BatchNorm.__doc__}"""\n\n    ', ""),
    *(f'"""{BatchNorm.forward.__doc__}"""\n        ', ""),
)

OF_THE_LAYER = (
    mistake("eps-outside-sqrt", ROOT, "(torch.sqrt(var[:, None, None]) + self.eps)"),
    mistake("eps-missing", ROOT, "torch.sqrt(var[:, None, None])"),
    mistake("std-not-variance", ROOT, "(var[:, None, None] + self.eps)"),
    mistake("std-not-variance", ROOT, "torch.sqrt(torch.sqrt(var[:, None, None]) + self.eps)"),
    mistake("unbiased-normalisation", "correction=0", "correction=1", UNBIASED, "var"),
    mistake("unbiased-normalisation", "correction=0", "correction=1"),
    mistake("biased-running-var", UNBIASED, "var"),
    mistake("unbiased-inverted", UNBIASED, "var * (x.numel() - x.shape[1]) / x.numel()"),
    mistake(
        "global-statistics",
        STATISTICS,
        "var, mean = (one.expand(x.shape[1]) for one in torch.var_mean(x, correction=0))",
    ),
    mistake(
        "one-pass-cancellation",
        STATISTICS,
        "mean = x.mean((0, 2, 3))" + NEXT_LINE + "var = (x * x).mean((0, 2, 3)) - mean * mean",
    ),
    mistake("not-centred", "(x - mean[:, None, None])", "x"),
    mistake("stats-detached", STATISTICS, STATISTICS + NEXT_LINE + "var, mean = var.detach(), mean.detach()"),
    mistake("missing-mean-gradient", STATISTICS, STATISTICS + NEXT_LINE + "mean = mean.detach()"),
    mistake("missing-var-gradient", STATISTICS, STATISTICS + NEXT_LINE + "var = var.detach()"),
    mistake(
        "momentum-flipped",
        OLD_MEAN + " + self.momentum * mean",
        "self.momentum * self.running_mean + (1 - self.momentum) * mean",
        OLD_VAR + " + self.momentum * unbiased_var",
        "self.momentum * self.running_var + (1 - self.momentum) * unbiased_var",
    ),
    mistake("running-stats-never-updated", ".copy_(", ".add("),
    mistake("running-stats-never-updated", "self.running_var.copy_(", "self.running_var.add("),
    mistake("running-var-from-zero", "torch.ones(num_features))\n\n", "torch.zeros(num_features))\n\n"),
    mistake(
        "eval-uses-batch-stats",
        "mean, var = self.running_mean, self.running_var",
        "mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)",
    ),
    mistake("eval-uses-batch-stats", "if self.training:", "if True:"),
    mistake("updates-in-eval", "if self.training:", "if True:", "else:", "if not self.training:"),
    mistake("train-uses-running-stats", "else:", "if True:"),
    mistake("stats-not-buffers", *PLAIN_MEAN, *PLAIN_VAR),
    mistake("stats-not-buffers", *PLAIN_VAR),
    mistake("stats-keep-graph", "with torch.no_grad():", "if True:"),
    mistake("mode-from-grad", *MODE),
    mistake("affine-ignored", LAST, "x_hat"),
    mistake("affine-ignored", LAST, f"{WEIGHT} * x_hat"),
    mistake("affine-ignored", LAST, f"x_hat + {BIAS}"),
    mistake("affine-swapped", LAST, f"{BIAS} * x_hat + {WEIGHT}"),
    mistake("affine-swapped", LAST, f"{WEIGHT} * (x_hat + {BIAS})"),
)

TASKS = (
    Task(
        id="batch_norm_module",
        chapter="05",
        level="hard",
        solution=BatchNorm,
        returns=("output",),
        cases=LAYER_CASES,
        mistakes=OF_THE_LAYER,
        hints=(
            "Parameters are trained, buffers are only saved: `nn.Parameter` for two, `register_buffer` for two.",
            "`self.training` says which statistics to use; only in training do the running ones move, under no_grad.",
            "Normalise by `x.var((0, 2, 3), correction=0)`, store it times m / (m - 1).",
        ),
        after="With a counter of batches and a dtype rule it would be the layer of `bnlab.layers`.",
        stub_of_class=STUB,
        trial=try_layer,
    ),
    Task(
        id="find_the_bug_module",
        chapter="05",
        level="hard",
        solution=BatchNorm,
        returns=("output",),
        cases=LAYER_CASES,
        mistakes=OF_THE_LAYER,
        hints=(
            "There are two mistakes. Train it, save it, load it, evaluate it: which number is not what you expect?",
            "What does `model.eval()` change, what `torch.no_grad()`? Which tensors does state_dict list?",
        ),
        after="Both mistakes pass every test of the training output: a test has to train, save, load and evaluate.",
        bug=mistake("mode-from-grad", *MODE, *PLAIN_MEAN, *PLAIN_VAR, *AS_FOUND),
        trial=try_layer,
    ),
    Task(
        id="recalibrate",
        chapter="05",
        level="stretch",
        solution=recalibrate,
        returns=("running_mean", "running_var"),
        cases=MODEL_CASES,
        mistakes=(
            mistake("biased-running-var", "correction=1", "correction=0"),
            mistake("std-not-variance", "values.var(0, correction=1)", "values.std(0)"),
            mistake(
                "averaged-variances",
                "values.var(0, correction=1)",
                "sum(model[0](x).var(0) * len(x) for x in loader) / len(values)",
            ),
            mistake(
                "averaged-variances",
                "values.var(0, correction=1)",
                "sum(model[0](x).var(0, correction=0) * len(x) for x in loader) / len(values)",
            ),
            mistake(
                "averaged-variances",
                "values.mean(0)",
                "torch.stack([model[0](x).mean(0) for x in loader]).mean(0)",
                "values.var(0, correction=1)",
                "torch.stack([model[0](x).var(0) for x in loader]).mean(0)",
            ),
            mistake(
                "unweighted-average", "values.mean(0)", "torch.stack([model[0](x).mean(0) for x in loader]).mean(0)"
            ),
            mistake("running-stats-never-updated", ".copy_(", ".add("),
            mistake("mode-not-restored", "norm = model[1]", "norm = model[1]\n    model.eval()"),
            mistake("mode-not-restored", "norm = model[1]", "norm = model[1]\n    model.train()"),
            mistake("mode-not-restored", "norm = model[1]", "norm = model[1]\n    norm.momentum = None"),
        ),
        hints=(
            "Which values does model[1] see when the loader is run through model[0]?",
            "`torch.cat` of them all, then one mean and one unbiased variance per channel. No average of averages.",
        ),
        after="`bnlab.deploy.recalibrate` does it for every layer of any model, without keeping the values: it merges.",
        trial=try_recalibration,
    ),
)
