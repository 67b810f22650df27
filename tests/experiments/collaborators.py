"""What each process runs, of the tests of the distributed experiment and of studies side by side."""

import os
import signal
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch

from bnlab.experiments import distributed
from bnlab.experiments.studies import Study


def compare(data, options):
    """The outcomes for these data, but for the seconds."""
    distributed.digits = lambda: data  # scikit-learn takes seconds to load
    return [outcome[:3] for outcome in distributed.compare(**options)]


def train(model, split, options):
    """The state that training leaves."""
    model = deepcopy(model)
    distributed.train(model, split, **options)
    return dict(model.state_dict())


@dataclass(frozen=True)
class Quick(Study):
    """A study that does at once what its settings say, and tells in which process and on how many threads."""

    def config_of_run(self, number):
        return dict(self.changes) | {"number": number}

    def run(self, config):
        """What a setting asks for; a `folder` is where studies wait for each other."""
        if "refuse" in config:
            raise ValueError(config["refuse"])
        if "killed" in config:
            os.kill(os.getpid(), signal.SIGKILL)
        if "folder" in config:
            folder = Path(config["folder"])
            (folder / self.name).touch()
            until = time.monotonic() + 60
            while len(list(folder.iterdir())) < config["together"]:
                if time.monotonic() > until:
                    raise ValueError("the other did not run beside it")
                time.sleep(0.01)
        time.sleep(config.get("seconds", 0))
        return config["number"], os.getpid(), torch.get_num_threads()
