"""For each rule a network with exactly that fault and its healthy twin, as the arguments of an examination."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from bnlab.deploy import freeze, recalibrate
from bnlab.layers import SequenceBatchNorm1d


def rows(n=32, batches=8, shift=0.0):
    return [(torch.randn(n, 6) + shift, torch.randint(0, 3, (n,))) for _ in range(batches)]


def perceptron(*, bias=False, before_norm=nn.Identity, after_norm=nn.Identity, **options):
    return nn.Sequential(
        nn.Linear(6, 16),
        nn.ReLU(),
        before_norm(),
        nn.Linear(16, 16, bias=bias),
        nn.BatchNorm1d(16, **options),
        nn.ReLU(),
        after_norm(),
        nn.Linear(16, 3),
    )


def fitted(model, loader):
    """With running statistics that fit."""
    recalibrate(model, loader)
    return model


def examined(model, loader, **more):
    return {"model": model, "loader": loader, **more}


def bn001(*, fault):
    return examined(perceptron(), rows(n=2 if fault else 32))


def bn002(*, fault):
    loader = rows()
    return examined(fitted(perceptron(), loader).train(fault), loader, purpose="inference")


def bn002_while_training(*, fault):
    return examined(perceptron().train(not fault), rows())


def bn002_in_the_step(*, fault):
    """The model comes in training mode; the step itself puts it in evaluation mode, or calls train() as it should."""

    def train_step(model, batch):
        model.train(not fault)
        functional.cross_entropy(model(batch[0]), batch[1]).backward()

    return examined(perceptron().train(fault), rows(), train_step=train_step)


def bn003(*, fault):
    return examined(perceptron(bias=fault), rows())


class SecondUse(nn.Module):
    """A layer whose output goes into batch norm and, with a skip, past it."""

    def __init__(self, *, skip):
        super().__init__()
        self.linear, self.norm, self.head, self.skip = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 1), skip

    def forward(self, x):
        x = self.linear(x)
        return self.head(self.norm(x) + (x if self.skip else 0))


def bn003_second_use(*, fault):
    return examined(SecondUse(skip=not fault), rows())


def bn003_frozen(*, fault):
    """The same bias, before a layer that normalises by constants, is needed."""
    model = perceptron(bias=True)
    if not fault:
        freeze(model)
    return examined(model, rows())


def bn004(*, fault):
    loader = rows()
    model = fitted(perceptron(), loader).eval()
    if fault:
        model[4].reset_running_stats()
    return examined(model, loader, purpose="inference")


def bn004_stale(*, fault):
    loader = rows()
    model = fitted(perceptron(), loader)
    with torch.no_grad():
        model[3].weight.mul_(4.0 if fault else 1.0)
    return examined(model, loader)


def bn004_whole_layer(*, fault):
    """Every channel a little too narrow, none of them far off."""
    loader = rows(n=64)
    model = fitted(perceptron(), loader)
    model[4].running_var.mul_(1.8 if fault else 1.0)
    return examined(model.eval(), loader, purpose="inference")


def bn005(*, fault):
    return examined(perceptron(momentum=0.99 if fault else 0.01), rows())


def bn006(*, fault):
    model = perceptron()
    norm = list(model[4].parameters())
    rest = [p for p in model.parameters() if all(p is not q for q in norm)]
    groups = [{"params": rest, "weight_decay": 1e-4}, {"params": norm, "weight_decay": 1e-4 if fault else 0.0}]
    return examined(model, rows(), optimizer=torch.optim.SGD(groups, lr=0.1))


def bn007(*, fault):
    model = perceptron()
    model[4].requires_grad_(False)
    model[4].train(fault)
    return examined(model, rows())


class MeanTeacher(nn.Module):
    def __init__(self):
        super().__init__()
        self.student, self.teacher = perceptron(), perceptron().requires_grad_(False)

    def forward(self, x):
        return self.student(x) + self.teacher(x)


def bn007_teacher(*, fault):
    """A network without gradients in training mode, which follows another by averaging, or stands still."""

    def train_step(model, batch):
        functional.cross_entropy(model(batch[0]), batch[1]).backward()
        with torch.no_grad():
            for parameter in model.teacher.parameters():
                parameter.mul_(1.0 if fault else 0.9)

    return examined(MeanTeacher(), rows(), train_step=train_step)


def bn007_unsaid(*, fault):
    model = perceptron()
    model[4].requires_grad_(fault)
    model[4].eval()
    return examined(model, rows())


def bn007_forgotten(*, fault):
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if fault:
        model[4] = nn.BatchNorm1d(16)
    return examined(model, rows(), optimizer=optimizer)


def bn008(*, fault):
    where = {"before_norm" if fault else "after_norm": lambda: nn.Dropout(0.5)}
    return examined(perceptron(**where), rows(n=64))


def bn009(*, fault):
    model = perceptron()
    with torch.no_grad():
        model[4].weight[: 8 if fault else 0] = 1e-6
    return examined(model, rows())


def bn009_exploding(*, fault):
    model = perceptron()
    with torch.no_grad():
        model[4].weight[3] = 500.0 if fault else 2.0
    return examined(model, rows())


class TwoDomains(nn.Module):
    """One layer for two inputs, or two; the second input may come from elsewhere."""

    def __init__(self, *, shared, shift):
        super().__init__()
        self.first = nn.BatchNorm1d(6)
        self.second = self.first if shared else nn.BatchNorm1d(6)
        self.head, self.shift = nn.Linear(6, 1), shift

    def forward(self, x):
        return self.head(self.first(x)) + self.head(self.second(x.flip(0) + self.shift))


def bn010(*, fault):
    return examined(TwoDomains(shared=fault, shift=3.0), rows())


def bn011(*, fault):
    model = perceptron()
    model[4].to(torch.bfloat16 if fault else torch.float32)
    return {"model": model}


def bn013(*, fault):
    """Two kinds of images, in batches of one kind each or mixed."""
    loader = [
        torch.cat([torch.randn(16, 6) + shift, torch.randn(16, 6) + (shift if fault else -shift)])
        for shift in (2.0, -2.0) * 6
    ]
    return examined(perceptron(), loader)


class Checkpointed(nn.Module):
    def __init__(self, *, checkpointed):
        super().__init__()
        self.layers, self.head, self.checkpointed = perceptron()[:6], nn.Linear(16, 3), checkpointed

    def forward(self, x):
        y = checkpoint(self.layers, x, use_reentrant=False) if self.checkpointed else self.layers(x)
        return self.head(y)


def bn014(*, fault):
    return examined(Checkpointed(checkpointed=fault), rows())


def bn015(*, fault):
    loader = rows()
    model = fitted(perceptron(), loader).eval()
    if not fault:
        model[3] = nn.Tanh()  # takes nothing in
    return examined(fitted(model, loader), loader, purpose="inference")


def bn016(*, fault):
    """Four passes back of 8 images each for a step of the optimizer, or one of 32."""
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train_step(model, batch, optimizer):
        optimizer.zero_grad()
        for x, y in zip(*(part.chunk(4 if fault else 1) for part in batch), strict=True):
            functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return examined(model, rows(), optimizer=optimizer, train_step=train_step)


def bn016_over_calls(*, fault):
    """The step counts its calls, and uses an optimizer that it holds itself."""
    model = perceptron()
    optimizer, calls = torch.optim.SGD(model.parameters(), lr=0.1), []

    def train_step(model, batch):
        functional.cross_entropy(model(batch[0]), batch[1]).backward()
        calls.append(1)
        if len(calls) % (4 if fault else 1) == 0:
            optimizer.step()
            optimizer.zero_grad()

    return examined(model, rows(n=12, batches=16), train_step=train_step)


def bn017(*, fault):
    model = perceptron()
    model[4].running_var[5] = torch.inf if fault else 1.0
    return {"model": model}


class Sequences(nn.Module):
    def __init__(self, *, told):
        super().__init__()
        self.norm, self.head, self.told = (SequenceBatchNorm1d if told else nn.BatchNorm1d)(6), nn.Linear(6, 1), told

    def forward(self, x, lengths):
        y = self.norm(x, lengths=lengths) if self.told else self.norm(x.transpose(1, 2)).transpose(1, 2)
        return self.head(y).mean(1)


def bn018(*, fault):
    loader = []
    for _ in range(6):
        lengths = torch.randint(4, 20, (32,))
        real = torch.arange(20) < lengths[:, None]
        loader.append((torch.where(real[..., None], torch.randn(32, 20, 6) + 3, 0.0), lengths))
    return examined(Sequences(told=not fault), loader)


PATIENTS = {name: patient for name, patient in dict(vars()).items() if name.startswith("bn0") and callable(patient)}


def trained(model, loader, *, epochs=4, lr=0.05, loss=functional.cross_entropy):
    """With SGD and a rate that falls to 0; in training mode at the end."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss(model(*x) if isinstance(x, tuple) else model(x), y).backward()
            optimizer.step()
            schedule.step()
    return model
