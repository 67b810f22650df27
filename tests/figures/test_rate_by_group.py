import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.rate_by_group import GROUPS, Config, Result
from bnlab.figures.rate_by_group import LINES, rate_by_group
from bnlab.figures.style import COLOURS


@pytest.fixture
def result(rng):
    config = Config(learning_rates=(0.1, 10.0), seeds=(0, 1, 2))
    accuracies = {group: rng.random((2, 3)) for group in GROUPS}
    return Result(config=config, provenance=Provenance("2026-01-31", {}, "0123456789ab"), validation=accuracies)


@pytest.mark.parametrize("group", GROUPS)
def test_every_seed_and_the_median_of_each_group_are_drawn(result, group):
    (ax,) = rate_by_group(result, title="t").axes
    role, _, label = LINES[group]
    own = [line for line in ax.lines if line.get_color() == COLOURS[role] and line.get_label() != label]
    assert np.array([line.get_ydata() for line in own]) == pytest.approx(100 * result.validation[group].T)
    middle = next(line for line in ax.lines if line.get_label() == label)
    assert middle.get_ydata() == pytest.approx(100 * np.median(result.validation[group], axis=1))
    assert np.asarray(middle.get_xdata()) == pytest.approx([0.1, 10], rel=0.3)


def test_groups_stand_side_by_side_in_different_colours(result):
    (ax,) = rate_by_group(result, title="t").axes
    lines = [next(line for line in ax.lines if line.get_label() == label) for _, _, label in LINES.values()]
    assert len({line.get_color() for line in lines}) == len({line.get_xdata()[0] for line in lines}) == len(GROUPS)
