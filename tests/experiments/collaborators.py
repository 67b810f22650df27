"""What each process of the tests of the distributed experiment runs."""

from copy import deepcopy

from bnlab.experiments import distributed


def compare(options):
    """The outcomes, but for the seconds."""
    return [outcome[:3] for outcome in distributed.compare(**options)]


def train(model, split, options):
    """The state that training leaves."""
    model = deepcopy(model)
    distributed.train(model, split, **options)
    return dict(model.state_dict())
