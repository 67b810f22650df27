"""Train a small convolutional network on handwritten digits, and say after each epoch how good it is."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

EPOCHS, BATCH_SIZE, LEARNING_RATE = 3, 32, 0.03


def make_data():
    """Training and validation images, standardised; they lie on the disk in one folder for each digit."""
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(labels)
    order = torch.argsort(y, stable=True)
    x, y = x[order], y[order]
    held_out = torch.arange(len(x)) % 2 == 0
    x = (x - x[~held_out].mean()) / x[~held_out].std()
    return (x[~held_out], y[~held_out]), (x[held_out], y[held_out])


def make_loader(images, labels):
    """Batches for training."""
    return DataLoader(TensorDataset(images, labels), BATCH_SIZE, shuffle=True, drop_last=True)


def block(channels_in, channels):
    """Convolution, norm, activation."""
    convolution = nn.Conv2d(channels_in, channels, kernel_size=3, padding=1, bias=False)
    norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)
    return nn.Sequential(convolution, norm, nn.ReLU())


def make_model():
    """Two blocks, each of which halves the image, and a classifier."""
    blocks = [block(1, 8), nn.MaxPool2d(2), block(8, 16), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64, 10))


def train_step(model, batch, optimizer):
    """One step on one batch."""
    images, labels = batch
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()


@torch.no_grad()
def accuracy(model, images, labels):
    """The share of images whose digit is recognised."""
    model.eval()
    return (model(images).argmax(1) == labels).float().mean().item()


def train(seed=0):
    """The trained model, its loader, its optimizer, and the accuracy after each epoch."""
    torch.manual_seed(seed)
    training, validation = make_data()
    model, loader = make_model(), make_loader(*training)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)
    schedule = CosineAnnealingLR(optimizer, EPOCHS * len(loader))
    accuracies = []
    for _ in range(EPOCHS):
        model.train()
        for batch in loader:
            train_step(model, batch, optimizer)
            schedule.step()
        accuracies.append(accuracy(model, *validation))
    return model, loader, optimizer, accuracies


def for_the_doctor():
    """What the doctor looks at: the network as it trains, its loader, its optimizer and its step."""
    model, loader, optimizer, _ = train()
    return {"model": model.train(), "loader": loader, "optimizer": optimizer, "train_step": train_step}


if __name__ == "__main__":
    for epoch, share in enumerate(train()[-1], start=1):
        print(f"epoch {epoch}: {share:.1%} of the validation images")
