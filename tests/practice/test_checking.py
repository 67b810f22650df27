"""What `check` says, keeps and refuses; which mistake it names is the matter of test_matrix.py."""

import time

import numpy as np
import pytest
import torch

from bnlab.practice import check
from bnlab.practice.exercises import diagnosis
from bnlab.practice.exercises.tasks import TASKS
from bnlab.practice.progress import Progress


def four_lines(x, gamma, beta, eps):
    return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + beta


def eps_outside(x, gamma, beta, eps):
    return gamma * (x - x.mean(0)) / (x.std(0) + eps) + beta


# --- words


def test_a_pass_says_what_is_worth_knowing():
    assert check("batch_norm_forward", four_lines).message == TASKS["batch_norm_forward"].after


def test_a_named_mistake_is_shown_as_code_explained_and_placed():
    message = check("batch_norm_forward", eps_outside).message
    assert "    x_hat = (x - mean) / (np.sqrt(var) + eps)" in message
    assert "Batch norm divides by `sqrt(var + eps)`" in message
    assert "See chapter 03, “Where epsilon stands”." in message


def test_the_input_shown_is_one_on_which_the_mistake_is_plain():
    message = check("batch_norm_forward", eps_outside).message
    assert "On 5 of 7 inputs yours agrees, to three digits at least. On “a variance near eps” `y` differs" in message


def test_an_infinity_that_is_right_is_not_shown_as_a_difference():
    def attempt(accuracy, steps, target):
        step = TASKS["steps_to_reach"].solution(accuracy, steps, target)
        return step if len(steps) < 5 else step + 1

    message = check("steps_to_reach", attempt).message
    assert "On 4 of 5 inputs yours agrees" in message
    assert "On “reached between two records” `step` differs" in message


def test_an_infinity_that_is_missing_is_plain():
    def attempt(accuracy, steps, target):
        step = TASKS["steps_to_reach"].solution(accuracy, steps, target)
        return step + (len(steps) > 4) if np.isfinite(step) else 12345

    message = check("steps_to_reach", attempt).message
    assert "On 3 of 5 inputs yours agrees" in message
    assert "    came      12345\n    expected  inf" in message


def test_integers_that_lose_the_fraction_are_refused():
    verdict = check("batch_norm_forward", lambda x, gamma, beta, eps: four_lines(x, gamma, beta, eps).astype(int))
    assert verdict.misconception == "wrong-dtype"
    assert "of int64 on the case “one column”, where float32 or float64 was expected" in verdict.message


def test_two_mistakes_are_both_named():
    verdict = check("batch_norm_forward", lambda x, gamma, beta, eps: eps_outside(x, gamma, 0 * beta, eps))
    assert {verdict.misconception, verdict.also} == {"eps-outside-sqrt", "affine-ignored"}
    assert "`eps-outside-sqrt`" in verdict.headline
    assert "`affine-ignored`" in verdict.headline


def test_a_mistake_that_also_cancels_is_told_both():
    def attempt(x, gamma, beta, eps):
        mean = x.mean(0)
        return gamma * (x - mean) / np.sqrt((x * x).mean(0) - mean**2 + eps)

    verdict = check("batch_norm_forward", attempt)
    assert (verdict.misconception, verdict.also) == ("affine-ignored", "one-pass-cancellation")


def test_an_unexplained_answer_is_shown_the_smallest_input_what_came_and_what_was_expected():
    verdict = check("batch_norm_forward", lambda x, gamma, beta, eps: four_lines(x, gamma, beta, eps) ** 3)
    assert verdict.misconception is None
    assert "On “one column” `y` differs" in verdict.message
    assert "came      [[-342.9982], [-342.9982], [2196.9937], [2196.9937]]" in verdict.message
    assert "expected  [[-7.], [-7.], [13.], [13.]]" in verdict.message
    assert "The arguments there:\n\n    x      [[1.], [1.], [5.], [5.]]\n    gamma  [10.]" in verdict.message


def spoiled(change):
    """The right answer to the inference exercise, on tensors of five rows and four channels, changed."""
    return lambda x, gamma, beta, mean, var, eps: change(gamma * (x - mean) / np.sqrt(var + eps) + beta)


def only_channel_2(y):
    y[:, 2:3] += np.sin(np.arange(y[:, 2:3].size)).reshape(-1, 1) if y.shape[1] > 2 else 0
    return y


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda y: -y, "differs in its sign"),
        (lambda y: 3 * y, "differs by the factor 3"),
        (lambda y: y + 7, "differs by 7 everywhere"),
        (only_channel_2, "differs in channel 2 only"),
        (lambda y: y * np.inf, "differs: it holds numbers that are not finite"),
    ],
    ids=["sign", "factor", "distance", "channel", "infinite"],
)
def test_the_part_that_is_off_is_said(change, part):
    verdict = check("batch_norm_inference", spoiled(change))
    assert verdict.misconception is None
    assert part in verdict.message


def test_no_factor_is_said_where_a_zero_came_out_as_something_else():
    def one_in_place_of_zero(gamma, beta, k):
        gamma, beta = TASKS["prune_channels"].solution(gamma, beta, k)
        return np.where(gamma == 0, 1, gamma), beta

    message = check("prune_channels", one_in_place_of_zero).message
    assert "`beta` came as expected, but `gamma` differs." in message


def test_no_factor_is_said_where_only_zeros_came():
    message = check("batch_norm_inference", spoiled(lambda y: 0 * y)).message
    assert "`y` differs." in message


def test_the_arguments_are_shown_with_words_and_shapes_among_them():
    message = check("values_per_mean", lambda norm, shape, groups: (7, 7)).message
    assert "    norm    group\n    shape   (2, 6, 3, 5)\n    groups  2" in message


def test_the_results_that_are_right_are_said():
    def attempt(grad_y, cache):
        return grad_y**2, (grad_y * cache.x_hat).sum(0), grad_y.sum(0)

    assert (
        "`grad_gamma` and `grad_beta` came as expected, but `grad_x` differs"
        in check("batch_norm_backward", attempt).message
    )


def test_a_wrong_shape_is_told_with_both_shapes():
    verdict = check("batch_norm_forward", lambda x, gamma, beta, eps: four_lines(x, gamma, beta, eps).ravel())
    assert verdict.misconception == "wrong-shape"
    assert "its shape is (4,), expected was (4, 1)" in verdict.message


def test_a_wrong_number_of_results_is_told():
    verdict = check("batch_norm_backward", lambda grad_y, cache: (grad_y, grad_y[0]))
    assert verdict.misconception == "wrong-number-of-results"
    assert "2 results where (grad_x, grad_gamma, grad_beta) was expected" in verdict.message
    verdict = check("examples_behind", lambda n, a, p, s: n * a * p)
    assert verdict.misconception == "wrong-number-of-results"
    assert "It returned one int where (behind_a_mean, behind_a_step) was expected" in verdict.message
    assert "keepdims" not in verdict.message


def test_an_attribute_that_is_missing_is_no_matter_of_shapes():
    def attempt(pretrained):
        for module in pretrained.modules():
            module.running_mean.requires_grad_(False)

    message = check("freeze_norms", attempt).message
    assert "has no attribute 'running_mean'" in message
    assert "the class of an object" in message


def test_a_wrong_number_of_parameters_is_told():
    message = check("batch_norm_forward", lambda x: x).message
    assert "takes 1 arguments where 4 were expected: x, gamma, beta, eps" in message


def test_an_error_is_told_with_the_learners_line():
    def attempt(x, gamma, beta, eps):
        mean = x.mean(0)
        return mean.no_such_thing

    line = attempt.__code__.co_firstlineno + 2
    assert f"at line {line} of `attempt`" in check("batch_norm_forward", attempt).message


def test_a_layer_without_the_named_parameters_is_told_which():
    class Bare(torch.nn.Module):
        def __init__(self, *_):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

    assert "no parameter `weight` of shape (3,)" in check("batch_norm_module", _of_width_one_first(Bare)).message


def test_a_list_of_names_in_place_of_parameters_is_told():
    message = check("norm_parameters", lambda model: [name for name, _ in model.named_parameters()]).message
    assert message == "Its list holds a str, where parameters were expected."


def test_a_number_in_place_of_a_list_is_told():
    verdict = check("norm_parameters", lambda model: 12)
    assert verdict.misconception == "raises"
    assert "It returned int where a list of parameters was expected." in verdict.message


def test_a_network_that_was_rebuilt_is_told_what_is_missing():
    def attempt(network):
        network.blocks[1].branch = torch.nn.Identity()

    message = check("zero_last_gamma", attempt).message
    assert "the network has no parameter `blocks.1.branch.0.weight` any more" in message


def _of_width_one_first(layer):
    """Passes the case with one channel, so that the next shows the fault."""

    class Both(layer):
        def __init__(self, channels, *settings):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(channels))
            self.inner = torch.nn.BatchNorm2d(channels, *settings)

        def forward(self, x):
            return self.inner(x)

    return Both


# --- what is kept and refused


def test_an_attempt_is_kept_with_its_code_and_its_mistake():
    check("batch_norm_forward", eps_outside)
    check("batch_norm_forward", four_lines)
    first, second = Progress().attempts("batch_norm_forward")
    assert (first.passed, first.misconception) == (False, "eps-outside-sqrt")
    assert (second.passed, second.misconception) == (True, None)
    assert "def four_lines(x, gamma, beta, eps):" in second.source


def test_a_stub_is_not_kept(data_dir):
    def attempt(x, gamma, beta, eps):
        """Nothing yet."""
        raise NotImplementedError

    assert not check("batch_norm_forward", attempt).attempted
    assert not data_dir.exists()


@pytest.mark.parametrize("body", ["...", "pass", '"""Later."""', "raise NotImplementedError('later')"])
def test_an_idle_body_is_no_attempt(body, tmp_path):
    path = tmp_path / "cell.py"
    path.write_text(f"def mine(inputs, scale, shift, epsilon=1e-5):  # todo\n    {body}\n")
    scope = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    verdict = check("batch_norm_forward", scope["mine"])
    assert not verdict.attempted


def test_a_body_that_returns_nothing_is_an_attempt():
    def attempt(x, gamma, beta, eps):
        y = x
        del y

    verdict = check("batch_norm_forward", attempt)
    assert (verdict.attempted, verdict.misconception) == (True, "returns-none")


def test_what_cannot_be_kept_is_said_beside_the_verdict(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "file" / "data"))
    verdict = check("batch_norm_forward", four_lines)
    assert verdict.passed
    assert "was not added to your progress" in verdict.message


def test_an_unknown_exercise_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"expected the id of an exercise \(predict_shapes, .*\), got 'batchnorm'"):
        check("batchnorm", four_lines)


def test_an_array_in_place_of_a_function_is_refused():
    with pytest.raises(ValueError, match="expected your function for 'batch_norm_forward', got ndarray"):
        check("batch_norm_forward", np.zeros(3))


def test_an_object_in_place_of_a_class_is_refused():
    with pytest.raises(ValueError, match="expected your class for 'batch_norm_module', got int"):
        check("batch_norm_module", 3)


def test_the_arrays_of_the_exercise_are_out_of_the_learners_reach():
    kept = []

    def attempt(x, gamma, beta, eps):
        kept.append(x)
        return four_lines(x, gamma, beta, eps)

    assert check("batch_norm_forward", attempt).passed
    for x in kept:
        x[...] = np.nan
    assert check("batch_norm_forward", four_lines).passed


def test_warnings_of_the_learners_code_are_not_raised():
    assert check("batch_norm_forward", lambda x, gamma, beta, eps: (x - x.mean(0)) / x.std(0)).attempted


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_check_takes_less_than_a_second(task):
    """Also the longest: a wrong answer that nothing explains, for the first time."""

    def seconds():
        diagnosis.expected.cache_clear()
        diagnosis._outcome.cache_clear()
        start = time.process_time()
        check(task.id, _unexplained(task))
        return time.process_time() - start

    assert any(seconds() < 1 for _ in range(3))  # a busy machine may take longer once


def _unexplained(task):
    if task.id == "recalibrate":

        def attempt(model, loader):
            model[1].running_mean += 3.21

        return attempt
    if task.id == "zero_last_gamma":
        return lambda network: network.head.weight.data.fill_(3.21)
    if task.id == "norm_parameters":
        return lambda model: [*model.parameters(), None]
    if isinstance(task.solution, type):

        class Attempt(task.solution):
            def forward(self, x):
                return super().forward(x) ** 3 + 0.123

        return Attempt

    def spoil(result):
        return tuple(3 * one for one in result) if isinstance(result, tuple) else np.asarray(result) ** 3 + 0.123

    def attempt(*arguments):
        results = task.solution(*arguments)
        return tuple(map(spoil, results)) if isinstance(results, tuple) else spoil(results)

    return attempt
