"""Every planted bug is one: it runs, it changes something that can be measured, and the doctor sees what it should."""

import pytest
import torch

from bnlab.deploy import recalibrate
from bnlab.doctor import examine
from bnlab.practice.capstone.bugs import DIGITS, SCRIPTS, TISSUE, TRANSFER
from bnlab.practice.interview.bank import CHAPTERS

BUGS = {f"{script.id}: {bug.name}": (script, bug) for script in SCRIPTS.values() for bug in script.bugs}
# What is not to be found, and the rule that several bugs break: together they would prove nothing of one of them.
DOUBTFUL = {name: (script, bug) for name, (script, bug) in BUGS.items() if bug.rule in {None, "BN004"}}


def run(text, **constants):
    """What a script defines, with other numbers in its first lines."""
    scope = {"__name__": "train"}
    exec(compile(text, "<train.py>", "exec"), scope)
    scope.update(constants)
    return scope


def norms(model):
    return [layer for layer in model.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]


def examined(text):
    return examine(**run(text)["for_the_doctor"]())


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_the_sound_script_is_healthy_and_the_doctor_finds_in_the_planted_one_what_it_is_said_to(script):
    assert examined(script.sound).healthy
    assert {bug.rule for bug in script.bugs} - {None} <= {one.id for one in examined(script.planted()).findings}


@pytest.mark.parametrize(("script", "bug"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_the_doctor_finds_a_bug_that_is_planted_alone_by_its_rule_or_not_at_all(script, bug):
    report = examined(script.planted(bug))
    assert report.healthy if bug.rule is None else bug.rule in {one.id for one in report.findings}


def test_some_bugs_are_hidden_from_the_doctor_and_none_from_all_its_scripts():
    assert {None} < {bug.rule for _, bug in BUGS.values()}
    assert all(any(bug.rule for bug in script.bugs) for script in SCRIPTS.values())


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_three_bugs_are_in_three_places(script):
    places = [script.lines_of(bug) for bug in script.bugs]
    assert len(places) == 3
    assert all(places)
    assert len({line for lines in places for line in lines}) == sum(map(len, places))
    assert script.found(tuple(lines[0] for lines in places)) == script.bugs


@pytest.mark.parametrize(("script", "bug"), BUGS.values(), ids=BUGS)
def test_a_bug_stands_on_lines_that_the_sound_script_has_not_in_this_place(script, bug):
    sound = script.sound.splitlines()
    planted = script.planted(bug).splitlines()
    marked = [number for number, line in enumerate(planted) if any(mark in line for mark in bug.marks)]
    assert marked
    assert any(sound[number : number + 2] != planted[number : number + 2] for number in marked)
    assert bug.chapter in CHAPTERS


# --- what each bug changes, by itself


def both(script, name, measure, **constants):
    """A measurement of the sound script, and of the one with this bug alone."""
    [bug] = [bug for bug in script.bugs if bug.name == name]
    return [measure(run(text, **constants)) for text in (script.sound, script.planted(bug))]


def test_sorted_batches_hold_one_digit_or_two():
    def digits_in_a_batch(scope):
        training, _ = scope["make_data"]()
        return max(len(labels.unique()) for _, labels in scope["make_loader"](*training))

    shuffled, in_order = both(DIGITS, "sorted batches", digits_in_a_batch)
    assert shuffled == 10
    assert in_order == 2


def test_with_the_momentum_of_keras_the_statistics_are_those_of_the_last_batch():
    def share_of_the_last_batch(scope):
        (_, norm, _) = scope["block"](1, 4).train()
        for level in (0.0, 1.0):
            norm(level + torch.zeros(8, 4, 2, 2))
        return norm.running_mean.mean().item()

    sound, planted = both(DIGITS, "momentum of Keras", share_of_the_last_batch)
    assert sound == pytest.approx(0.1)
    assert planted == pytest.approx(0.99)


def test_a_model_that_is_kept_in_evaluation_mode_counts_the_batches_of_one_epoch():
    def batches_counted(scope):
        model, loader, *_ = scope["train"]()
        return norms(model)[0].num_batches_tracked.item() / len(loader)

    assert both(DIGITS, "evaluation mode kept", batches_counted, EPOCHS=2) == [2, 1]


def test_a_checkpoint_without_buffers_serves_with_mean_0_and_variance_1():
    def mean_of_the_body(scope):
        return norms(scope["train"]()[0])[0].running_mean.abs().max().item()

    sound, planted = both(TRANSFER, "checkpoint without buffers", mean_of_the_body, EPOCHS=1)
    assert sound > 0
    assert planted == 0


def test_a_half_frozen_body_moves_its_statistics():
    def batches_counted(scope):
        return norms(scope["train"]()[0])[0].num_batches_tracked.item()

    sound, planted = both(TRANSFER, "half frozen", batches_counted, EPOCHS=1)
    assert planted == sound + 700 // 32


def test_an_optimizer_of_the_old_head_leaves_the_new_one_as_it_was_drawn():
    def head_is_trained(scope):
        model, _, optimizer, _ = scope["train"]()
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        return id(model.head.weight) in own

    assert both(TRANSFER, "optimizer of the old head", head_is_trained, EPOCHS=1) == [True, False]


def test_by_statistics_of_the_test_set_the_company_decides_what_an_example_is():
    def mean_of_the_test_set(scope):
        _, (x, _) = scope["make_data"]()
        return x.mean(0).abs().max().item()

    sound, planted = both(TISSUE, "statistics of the test set", mean_of_the_test_set)
    assert sound > 0.05
    assert planted < 1e-5


def test_of_two_blocks_one_never_runs():
    def runs(scope):
        model = scope["Network"]().train()
        model(torch.randn(8, 30))
        return model.one.norm.num_batches_tracked.item(), model.other.norm.num_batches_tracked.item()

    assert both(TISSUE, "one block twice", runs) == [(1, 1), (2, 0)]


def test_the_averaged_model_keeps_statistics_that_are_not_its_own():
    def distance_to_its_own(scope):
        model, loader, _ = scope["train"]()
        stored = norms(model)[-1].running_var.clone()
        recalibrate(model, loader)
        return (stored.log() - norms(model)[-1].running_var.log()).abs().mean().item()

    sound, planted = both(TISSUE, "statistics of the other model", distance_to_its_own)
    assert sound < 0.05
    assert planted > 0.25
