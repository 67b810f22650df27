"""Teach a network that knows the digits 0 to 4 the digits 5 to 9: its body stays as it is, its head is new."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

WIDTH, EPOCHS, BATCH_SIZE = 32, 6, 32


def make_data(digits):
    """Images and labels of consecutive digits; a label says how many come before it."""
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(labels)
    wanted = torch.isin(y, torch.tensor(digits))
    return x[wanted], y[wanted] - digits[0]


def make_loader(images, labels):
    """Batches for training."""
    return DataLoader(TensorDataset(images, labels), BATCH_SIZE, shuffle=True, drop_last=True)


class Network(nn.Module):
    """A body of two layers and a head."""

    def __init__(self):
        super().__init__()
        layers = [nn.Linear(64, WIDTH, bias=False), nn.BatchNorm1d(WIDTH), nn.ReLU()]
        layers += [nn.Linear(WIDTH, WIDTH, bias=False), nn.BatchNorm1d(WIDTH), nn.ReLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(WIDTH, 5)

    def forward(self, x):
        return self.head(self.body(x))


def train_step(model, batch, optimizer):
    """One step on one batch."""
    images, labels = batch
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()


def into_training(model, *, frozen):
    """The modes in which it trains; a frozen body is used as it is."""
    model.train()
    if frozen:
        model.body.requires_grad_(False)
        model.body.eval()


def fit(model, loader, optimizer, *, frozen):
    """Train, with a rate that falls to 0."""
    schedule = CosineAnnealingLR(optimizer, EPOCHS * len(loader))
    for _ in range(EPOCHS):
        into_training(model, frozen=frozen)
        for batch in loader:
            train_step(model, batch, optimizer)
            schedule.step()


def checkpoint_of_the_first_five():
    """What was saved of the network that learned the digits 0 to 4."""
    model = Network()
    fit(model, make_loader(*make_data([0, 1, 2, 3, 4])), torch.optim.SGD(model.parameters(), lr=0.2), frozen=False)
    return {name: value.clone() for name, value in model.state_dict().items()}


def train(seed=0):
    """The trained model, its loader, its optimizer, and its accuracy on images that it was not trained on."""
    torch.manual_seed(seed)
    model = Network()
    model.load_state_dict(checkpoint_of_the_first_five(), strict=False)
    images, labels = make_data([5, 6, 7, 8, 9])
    loader = make_loader(images[:700], labels[:700])
    model.head = nn.Linear(WIDTH, 5)
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.2, momentum=0.9)
    fit(model, loader, optimizer, frozen=True)
    with torch.no_grad():
        right = model.eval()(images[700:]).argmax(1) == labels[700:]
    return model, loader, optimizer, right.float().mean().item()


def for_the_doctor():
    """What the doctor looks at: the network as its head trains, its loader, its optimizer and its step."""
    model, loader, optimizer, _ = train()
    into_training(model, frozen=True)
    return {"model": model, "loader": loader, "optimizer": optimizer, "train_step": train_step}


if __name__ == "__main__":
    print(f"{train()[-1]:.1%} of the new images")
