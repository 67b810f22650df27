import html
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from bnlab.deploy import fold
from bnlab.experiments.data import digits
from bnlab.experiments.models import cnn
from bnlab.experiments.studies import STUDIES
from bnlab.experiments.training import train
from bnlab.layers import BatchNorm2d
from bnlab.practice.exercises import predictions
from bnlab.practice.exercises.predictions import (
    Prediction,
    calibration,
    package_predictions,
    predict,
    read_predictions,
    reveal,
)
from bnlab.practice.interview.proofs import PROOFS
from bnlab.practice.interview.proofs.signals import _growth_in_a_network
from bnlab.practice.progress import Progress
from bnlab.reference import batch_norm_forward

ID = "variance-equal-to-eps"  # of four choices; b is right
CHOICES = {"a": "about 1", "b": "about 0.7", "c": "about 0.5", "d": "about 0"}
RECORD = """
- id: sum-of-two
  question: How much is one and one?
  choices:
    a: one
    b: two
    c: three
  answer: b
  why: Because <b>one</b> & one are two.
"""


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """The learner's data directory, which does not exist yet."""
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def write(tmp_path):
    def written(**contents):
        for name, content in contents.items():
            (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
        return list(tmp_path.glob("*.yaml"))

    return written


def both(shown):
    return repr(shown), shown._repr_html_()


# --- asking


def test_a_prediction_asks_with_all_its_choices_and_how_to_commit():
    for text in both(predict(ID)):
        assert "as large as" in text
        assert all(f"{letter}  {words}" in text for letter, words in CHOICES.items())
        assert f'predict("{ID}", choice, confidence)' in html.unescape(text)
        assert "from 25 (a guess) to 100" in text


def test_asking_says_the_same_after_a_commitment_and_leaves_no_trace(data):
    before = both(predict(ID))
    assert not data.exists()
    predict(ID, "b", 70)
    assert both(predict(ID)) == before


@pytest.mark.parametrize("id_", list(package_predictions()))
def test_asking_does_not_give_the_answer_away(id_):
    for text in both(predict(id_)):
        assert "answer" not in text
        assert package_predictions()[id_].why[:20] not in text


@pytest.mark.parametrize("id_", list(package_predictions()))
def test_every_text_fits_a_terminal(id_):
    for shown in (predict(id_), predict(id_, "b", 70), reveal(id_)):
        assert max(map(len, repr(shown).splitlines())) <= 80


# --- committing


def test_a_commitment_is_kept_and_confirmed_without_the_answer():
    shown = predict(ID, "a", 70)
    assert shown.headline == "You said a, 70% sure."
    assert "0.7" not in repr(shown)
    assert [commitment[:3] for commitment in Progress().predictions().values()] == [(ID, "a", 70)]


def test_confirming_right_and_wrong_commitments_reads_the_same(data, monkeypatch):
    wrong = repr(predict(ID, "a", 70))
    monkeypatch.setenv("BNLAB_DATA_DIR", f"{data}-2")
    assert repr(predict(ID, "b", 70)) == wrong.replace("said a", "said b")


def test_the_first_commitment_counts():
    predict(ID, "a", 70)
    assert predict(ID, "b", 100).headline == "Your first answer counts: a, 70% sure."
    assert predict(ID, "a", 80).headline == "Your first answer counts: a, 70% sure."
    assert predict(ID, "a", 70).headline == "You said a, 70% sure."


def test_a_commitment_that_cannot_be_kept_is_not_claimed_to_be(data):
    data.write_text("a file in the place of the directory")
    shown = predict(ID, "b", 70)
    assert shown.headline == "You said b, 70% sure, but it could not be kept."
    assert "This was not added to your progress" in shown.message
    assert reveal(ID).headline == "The answer is b: about 0.7."


@pytest.mark.parametrize(("id_", "guess"), [(ID, 25), ("untouched-example", 33)])
def test_confidence_begins_at_a_guess_rounded_down(id_, guess):
    with pytest.raises(ValueError, match=f"a whole percentage from {guess} to 100, got {guess - 1}"):
        predict(id_, "a", guess - 1)
    assert predict(id_, "a", guess).headline == f"You said a, {guess}% sure."


@pytest.mark.parametrize("confidence", [101, 0.7, 70.0, "70", True, None, float("nan")])
def test_a_confidence_that_is_no_whole_percentage_is_refused(confidence, data):
    with pytest.raises(ValueError, match="confidence must be a whole percentage from 25 to 100, got"):
        predict(ID, "b", confidence)
    assert not data.exists()


@pytest.mark.parametrize("choice", ["e", "B", "about 0.7", ["b"], None, 1])
def test_a_choice_that_is_not_offered_is_refused(choice, data):
    with pytest.raises(ValueError, match="choice must be one of a, b, c, d, got"):
        predict(ID, choice, 70)
    assert not data.exists()


@pytest.mark.parametrize("call", [predict, reveal])
def test_an_unknown_prediction_is_refused_with_those_that_exist(call):
    with pytest.raises(ValueError, match=r"one of untouched-example, .*got 'variance'"):
        call("variance")


# --- revealing


def test_the_answer_and_its_reason_are_shown_without_a_commitment(data):
    shown = reveal(ID)
    assert shown.headline == "The answer is b: about 0.7."
    assert "0.707" in shown.message
    assert "You said" not in shown.message
    assert not data.exists()


@pytest.mark.parametrize(("choice", "outcome"), [("b", "right"), ("c", "not c, but b")])
def test_a_commitment_is_judged(choice, outcome):
    predict(ID, choice, 60)
    assert reveal(ID).message.startswith(f"You said {choice}, 60% sure: {outcome}.\n\n")
    assert "You said" not in reveal("untouched-example").message


def test_a_damaged_store_is_told_of(data):
    data.mkdir()
    (data / "progress.sqlite").write_bytes(b"damaged" * 100)
    assert "was damaged" in reveal(ID).message


# --- calibration


def test_calibration_without_predictions_is_a_note():
    assert repr(calibration()).startswith("No predictions yet.")


def test_calibration_draws_what_was_committed(monkeypatch):
    drawn = []
    monkeypatch.setattr(predictions.figures, "calibration_curve", lambda *arrays: drawn.extend(arrays))
    predict("untouched-example", "c", 90)
    predict(ID, "a", 60)
    Progress().record_prediction("withdrawn", "a", 100)  # by an earlier version of the course
    calibration()
    np.testing.assert_array_equal(drawn, [[90, 60], [True, False]])


def test_calibration_is_a_figure():
    predict(ID, "a", 100)
    figure = calibration()
    assert isinstance(figure, Figure)
    assert figure.get_suptitle().startswith("More sure than right")


# --- the course's predictions are true


def test_changing_one_example_changes_the_sign_of_another():
    before, after = (
        batch_norm_forward(np.array([[3.0], [9.0], [11.0], [last]]), np.ones(1), np.zeros(1))[0][1, 0]
        for last in (17.0, 1.0)
    )
    assert (round(before, 2), round(after, 2)) == (-0.2, 0.73)
    assert package_predictions()["untouched-example"].answer == "c"


def test_a_variance_of_eps_comes_out_at_the_root_of_a_half_and_outside_the_root_at_1():
    eps = 1e-5
    x = np.sqrt(eps) * np.array([[-1.0], [1.0]])  # variance exactly eps
    inside, _ = batch_norm_forward(x, np.ones(1), np.zeros(1), eps=eps)
    assert round(inside.std(), 3) == 0.707
    assert round((x / (x.std() + eps)).std(), 3) == 0.997
    assert [package_predictions()[id_].answer for id_ in (ID, "eps-outside-the-root")] == ["b", "a"]


@pytest.mark.parametrize(
    ("id_", "proof", "constants", "words"),
    [
        ("half-a-start", "half_as_large_a_start", {"layers": 20, "forward": 2**20}, "about a millionth"),
        (
            "doubled-weights",
            "doubled_weights",
            {"layers": 8, "grows": 256, "with_batch_norm": 1},
            "256 without, 1 with",
        ),
        ("start-thirty-times-too-large", "start_as_a_rate", {"scale": 30, "turns_less": 900}, "900 times less"),
    ],
)
def test_what_a_prediction_expects_is_proved(id_, proof, constants, words):
    assert PROOFS[proof](**constants)
    prediction = package_predictions()[id_]
    assert prediction.choices[prediction.answer] == words


def test_the_gradient_of_a_first_block_is_tens_of_times_that_of_the_twentieth():
    assert 20 < _growth_in_a_network(layers=20) ** 19 < 100
    prediction = package_predictions()["gradient-of-the-first-layer"]
    assert prediction.choices[prediction.answer] == "tens of times as long"


def test_the_network_without_batch_norm_is_ahead_by_more_than_a_point_at_the_smallest_rate():
    study = STUDIES["learning_rate_tolerance"].stored()
    assert (study.config.dataset, study.config.depth, study.config.steps) == ("digits", 8, 200)
    assert study.config.learning_rates[0] == min(study.config.learning_rates) == 0.01
    medians = {arm: np.median(accuracy[0]) for arm, accuracy in study.validation.items()}
    assert medians["no_norm"] > medians["batch_norm"] + 0.01
    assert package_predictions()["smallest-rate"].answer == "c"


def _chosen(id_):
    prediction = package_predictions()[id_]
    return prediction.choices[prediction.answer]


def test_the_64th_branch_is_a_64th_of_its_sum():
    share = STUDIES["residual_signal"].stored().ratio_at("batch_norm", 64)
    assert (np.abs(64 * share - 1) < 0.2).all()
    assert _chosen("branch-at-block-64") == "about a 64th of it"


def test_a_larger_gamma_and_smaller_readers_leave_the_function_alone():
    assert PROOFS["gamma_is_no_score"]()
    assert _chosen("same-function-other-gamma").startswith("they stay as they were, though that gamma is now by far")


def test_padding_is_counted_by_batch_norm():
    assert PROOFS["padding_counts"](mean_with_padding=2.25, mean=3)
    assert _chosen("padded-steps") == "2.25, the mean of all four steps"


def test_the_mean_slope_of_tanh_depends_on_gamma():
    assert PROOFS["slope_and_growth"](at_1=0.61, at_a_tenth=0.99)
    assert _chosen("gamma-a-tenth") == "about 0.6 at 1, and 0.99 at 0.1"


def test_one_edited_token_moves_all_sequences():
    assert PROOFS["leak"](own_past_moves=True, other_sequences_move=True)
    assert _chosen("future-token-edited") == "those of all eight sequences"


@pytest.mark.parametrize("size", [1, 2])
def test_coins_are_beaten_in_training_mode_only(size):
    study = STUDIES["future_leak"].stored()
    place = study.config.batch_sizes.index(size)
    assert (study.training_mode["batch_norm"][place] < np.log(2)).all()
    assert (study.evaluation_mode["batch_norm"][place] > np.log(2)).all()
    assert _chosen("coins-below-entropy").startswith("below 0.693 in training mode, at 0.693 or above")


def test_two_examples_become_one_and_minus_one():
    x = np.array([[3.0, -7.0], [3.1, 900.0]])
    np.testing.assert_allclose(batch_norm_forward(x, np.ones(2), np.zeros(2))[0], [[-1, -1], [1, 1]], atol=0.01)
    assert _chosen("batch-of-two") == "one of them +1, the other -1"


def test_the_mean_of_an_image_spreads_several_times_as_far_as_its_positions_say():
    model = cnn(1, 10, depth=3, width=16, norm=BatchNorm2d, generator=torch.Generator().manual_seed(0))
    train(model, digits().train, learning_rate=0.3, seed=0, steps=100, batch_size=32)
    *_, last = [index for index, layer in enumerate(model) if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        maps = model.eval()[: last + 1](digits().train.x)
    assert maps.shape[2:] == (8, 8)
    times = 8 * maps.mean((2, 3)).std(0) / maps.transpose(0, 1).flatten(1).std(1)
    assert times.median() > 2
    assert _chosen("positions-that-do-not-count") == "several times as far"


def test_accumulated_batches_share_no_mean():
    layer = BatchNorm2d(1, momentum=1.0)
    first, second = (
        torch.full((2, 1, 1, 1), value) + torch.tensor([-1.0, 1]).reshape(2, 1, 1, 1) for value in (0.0, 9)
    )
    for batch in (first, second):
        layer(batch).sum().backward()  # gradients add up, no step in between
    assert layer.running_mean == 9
    assert _chosen("accumulate-sixteen-times-two") == "2"


def test_the_noisy_network_drifts_further_and_is_some_points_ahead():
    study = STUDIES["noisy_norm"].stored()
    noisy, plain = "batch_norm 0.5", "no_norm"
    drift = {arm: np.median(study.over_training("drift", arm, study.best_rate(arm))) for arm in (noisy, plain)}
    assert 1.5 < drift[noisy] / drift[plain] < 2.5
    assert 5.5 < 100 * (study.test[noisy] - study.test[plain]).mean() < 7
    assert _chosen("drift-and-accuracy") == "some points above"


def test_weights_before_a_norm_take_up_a_hundredfold_rate():
    study = STUDIES["effective_rate"].stored()
    small, large = (study.effective_rate(0.0, rate)[-1] for rate in (1.0, 100.0))
    longer = 100 * small / large
    assert 85 < np.median(longer) < 90
    assert 0.8 < np.median(large / small) < 1.2
    assert _chosen("a-hundred-times-the-rate") == "hardly at all"


def test_no_activation_varies_more_than_its_mean_squared_slope():
    z = torch.linspace(-12, 12, 100_000, dtype=torch.float64).requires_grad_()
    weight = torch.softmax(-z.detach().square() / 2, 0)
    for f in (torch.relu, torch.tanh, torch.sin, torch.exp, lambda z: torch.tanh(10 * z), lambda z: (5 * z + 1) ** 3):
        y = f(z)
        (slope,) = torch.autograd.grad(y.sum(), z)
        variance = (weight * (y - (weight * y).sum()).square()).sum()
        assert (weight * slope.square()).sum() > 1.05 * variance
    assert _chosen("activation-that-calms") == "no, none"


def test_frozen_parameters_do_not_stop_the_statistics():
    assert PROOFS["freezing"](statistics_move_without_gradients=True)
    assert _chosen("frozen-weights-moving-statistics") == "the running mean and variance"


def test_one_of_two_domains_comes_out_narrow():
    domain = np.tile([[-1.0], [1.0]], (50, 1))
    y, _ = batch_norm_forward(np.concatenate([domain, 10 + domain]), np.ones(1), np.zeros(1))
    assert round(y[:100].std(), 3) == 0.196
    assert _chosen("two-domains-one-norm") == "about 0.2"


def test_a_folded_network_answers_the_same_and_no_longer_normalises():
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU()).double()
    x = torch.rand(4, 1, 6, 6, dtype=torch.float64)
    network(x)
    folded = fold(network.eval(), x).model
    torch.testing.assert_close(folded(x), network(x))
    torch.testing.assert_close(folded.train()(x[:1]), folded(x)[:1])
    assert not torch.allclose(network.train()(x[:1]), network(x)[:1])
    assert _chosen("fold-changes-what").startswith("normalise by the batch")


def percent(accuracies):
    return round(100 * float(np.mean(accuracies)))


def percents_of(id_):
    """Those that the question gives, in order."""
    return [int(found) for found in re.findall(r"(\d+)%", package_predictions()[id_].question)]


def test_batches_of_one_class_leave_batch_norm_guessing():
    study = STUDIES["sorted_batches"].stored()
    at = study.config.classes.index(1)
    assert (study.config.batch_size, study.config.dataset) == (20, "digits")
    medians = [round(100 * np.median(study.test[arm][at])) for arm in ("no_norm", "layer_norm", "batch_norm")]
    assert medians == [87, 87, 10]
    assert percents_of("one-class-batches") == [87]
    assert _chosen("one-class-batches") == "about 10%, a guess"


def test_statistics_of_the_batch_mend_contrast_and_brightness_alone():
    study = STUDIES["served_shift"].stored()
    shifts = ("contrast", "brightness", "inverted")
    assert [percent(study.stored[one]) for one in shifts] == percents_of("batch-statistics-inverted")
    assert [percent(study.by_batch[one]) for one in shifts] == [84, 93, 19]
    assert _chosen("batch-statistics-inverted").startswith("contrast and brightness, not")


def test_exact_statistics_mend_half_of_what_is_lost_half_way():
    study = STUDIES["weight_averaging"].stored()
    middle = study.config.parts // 2
    averaged, exact = study.averaged["independent"], study.exact["independent"]
    assert [percent(one) for one in (exact[0], exact[-1], averaged[middle], exact[middle])] == [97, 97, 41, 78]
    assert percents_of("half-way-weights") == [97, 41]
    assert _chosen("half-way-weights") == "about 78%"


def test_a_running_mean_in_half_precision_stands_still():
    ends = []
    for dtype in (torch.float16, torch.float32):
        layer = nn.BatchNorm1d(1, dtype=dtype)
        layer.running_mean.fill_(100)
        for _ in range(200):
            layer(torch.tensor([[99.25], [101.25]], dtype=dtype))
        ends.append(layer.running_mean.item())
    assert ends == [100, pytest.approx(100.25, abs=1e-3)]
    assert _chosen("momentum-in-half-precision") == "at 100, where it is"


# --- files


def test_a_file_is_read_into_predictions(write):
    assert read_predictions(write(one=RECORD)) == {
        "sum-of-two": Prediction(
            "sum-of-two",
            "How much is one and one?",
            {"a": "one", "b": "two", "c": "three"},
            "b",
            "Because <b>one</b> & one are two.",
        )
    }


def test_html_is_escaped_and_code_is_marked(write, monkeypatch):
    known = read_predictions(write(one=RECORD.replace("How much is", "How much is `x < y`,")))
    monkeypatch.setattr(predictions, "package_predictions", lambda: known)
    assert "<code>x &lt; y</code>" in predict("sum-of-two")._repr_html_()
    assert "Because &lt;b&gt;one&lt;/b&gt; &amp; one" in reveal("sum-of-two")._repr_html_()


@pytest.mark.parametrize(
    ("text", "instead", "message"),
    [
        ("  answer: b\n", "", "one.yaml: expected the fields id, question, choices, answer, why, got id, question, ch"),
        ("  answer: b\n", "  answer: b\n  level: 3\n", "why, got id, question, choices, answer, level, why"),
        ("id: sum-of-two", "id: Sum of two", "expected an id in lower case with hyphens, got 'Sum of two'"),
        ("id: sum-of-two", "id: 2", "expected an id in lower case with hyphens, got 2"),
        ("How much is one and one?", "", "one.yaml, sum-of-two: expected text as question, got None"),
        ("Because <b>one</b> & one are two.", "' '", "expected text as why, got ' '"),
        ("    b: two\n", "", "expected two or more choices a, b, ..., got"),
        ("    b: two\n    c: three\n", "", "expected two or more choices a, b, ..., got"),
        ("\n    a: one\n    b: two\n    c: three", " [one, two]", "expected two or more choices a, b, ..., got"),
        ("b: two", "b: 2", "expected a line of at most 72 letters as b, got 2"),
        ("b: two", f"b: {'x' * 73}", "expected a line of at most 72 letters as b, got"),
        ("b: two", 'b: "two\\nlines"', "expected a line of at most 72 letters as b, got"),
        ("answer: b", "answer: d", "expected one of the choices as answer, got 'd'"),
        ("answer: b", "answer: [b]", "expected one of the choices as answer, got"),
        (RECORD, "id: sum-of-two", "one.yaml: expected a list of predictions, got dict"),
        (RECORD, "- sum-of-two", "expected the fields id, question, choices, answer, why, got str"),
        (RECORD, RECORD + RECORD, "one.yaml: expected an id of its own, got 'sum-of-two' again"),
    ],
)
def test_an_unfit_file_is_refused(write, text, instead, message):
    assert text in RECORD
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        read_predictions(write(one=RECORD.replace(text, instead)))


def test_an_id_that_two_files_use_is_refused(write):
    with pytest.raises(ValueError, match=r"two\.yaml: expected an id of its own, got 'sum-of-two' again"):
        read_predictions(write(two=RECORD, one=RECORD))
