"""Tell benign from malignant tissue by 30 measurements; what serves is the average of three trainings."""

from copy import deepcopy

import torch
from sklearn.datasets import load_breast_cancer
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset

WIDTH, EPOCHS, RUNS, BATCH_SIZE = 32, 5, 3, 32


def make_data(seed=0):
    """Training and test examples, standardised."""
    measured, labels = load_breast_cancer(return_X_y=True)
    x, y = torch.tensor(measured, dtype=torch.float32), torch.tensor(labels)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train_x, test_x = x[order[:400]], x[order[400:]]
    mean, std = train_x.mean(0), train_x.std(0)
    train_x = (train_x - mean) / std
    test_x = (test_x - mean) / std
    return (train_x, y[order[:400]]), (test_x, y[order[400:]])


class Block(nn.Module):
    """Two layers around which the input also goes straight on."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Linear(WIDTH, 2 * WIDTH, bias=False), nn.Linear(2 * WIDTH, WIDTH, bias=False)
        self.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, x):
        return x + self.narrow(self.wide(self.norm(x)).relu())


class Network(nn.Module):
    """A first layer, two blocks, and a classifier."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(30, WIDTH), nn.Linear(WIDTH, 2)
        self.one, self.other = Block(), Block()
        self.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, x):
        x = self.one(self.first(x))
        x = self.other(x)
        return self.last(self.norm(x).relu())


def train_step(model, batch, optimizer):
    """One step on one batch."""
    x, labels = batch
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), labels).backward()
    optimizer.step()


def fit(model, loader):
    """The trained model."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    for _ in range(EPOCHS):
        for batch in loader:
            train_step(model.train(), batch, optimizer)
    return model


def train(seed=0):
    """The averaged model, its loader, and its accuracy on the test examples."""
    torch.manual_seed(seed)
    training, (test_x, test_y) = make_data(seed)
    loader = DataLoader(TensorDataset(*training), BATCH_SIZE, shuffle=True, drop_last=True)
    begun = Network()
    averaged = AveragedModel(begun)
    for _ in range(RUNS):
        model = fit(deepcopy(begun), loader)
        averaged.update_parameters(model)
    update_bn(loader, averaged)
    with torch.no_grad():
        right = averaged.eval()(test_x).argmax(1) == test_y
    return averaged.module, loader, right.float().mean().item()


def for_the_doctor():
    """What the doctor looks at: the network that is to serve, and data like those that it will meet."""
    model, loader, _ = train()
    return {"model": model.eval(), "loader": loader, "purpose": "inference"}


if __name__ == "__main__":
    print(f"{train()[-1]:.1%} of the test examples")
