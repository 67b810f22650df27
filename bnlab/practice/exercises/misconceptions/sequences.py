"""Mistakes about sequences: statistics over time, padding, batch norm in an LSTM, and news of the future."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

TIME = "chapter 09, “Statistics over time”"
PADDING = "chapter 09, “Padding is not data”"
LSTM = "chapter 09, “Batch norm in an LSTM”"
LEAK = "chapter 09, “The leak”"

OF_SEQUENCES = {
    "steps-pooled": Misconception(
        "The steps of a sequence share one statistic. Here each step has its own: the first steps of an LSTM look "
        "unlike the later ones, and in a causal model a statistic of all steps would tell the early ones of the late.",
        TIME,
    ),
    "steps-not-batch": Misconception(
        "The average runs over the steps of each sequence, not over the sequences. Then every sequence has statistics "
        "of its own, and with one pair for each step and feature they have the shape `(length, c)`, not `(n, c)`.",
        TIME,
    ),
    "features-pooled": Misconception(
        "The features are mixed. Each has its own mean and its own variance, as in every batch norm, whatever is done "
        "about time.",
        TIME,
    ),
    "steps-so-far": Misconception(
        "The statistics of a step take in the earlier steps. That is causal, and a possible design; recurrent batch "
        "norm as Cooijmans et al. describe it takes each step alone.",
        TIME,
    ),
    "squares-not-centred": Misconception(
        "The mean of the squares is taken for the variance. The variance is that of the distances from the mean: "
        "subtract the mean first, then square.",
        TIME,
    ),
    "padding-counted": Misconception(
        "The padding is among the values. It is no data: how much of it a batch has depends on its longest sequence, "
        "so the same step would be normalised differently with other batch-mates.",
        PADDING,
    ),
    "padding-in-the-divisor": Misconception(
        "The sums are over the real values, but they are divided by the number of all, padded ones too. Divide by how "
        "many values were added up: `lengths.sum()`, or the sum of the mask.",
        PADDING,
    ),
    "padding-in-the-spread": Misconception(
        "The mean is right, but the padding is back in the variance: a padded 0 minus the mean is no 0 any more, and "
        "its square is added up. Mask again after the mean has been subtracted.",
        PADDING,
    ),
    "zeros-are-padding": Misconception(
        "The padding is recognised by its value. A real value may be 0 too, behind a ReLU very often, and padding need "
        "not be 0 once a layer with a bias has seen it. `lengths` says what is real.",
        PADDING,
    ),
    "one-length-for-all": Misconception(
        "One length is used for all sequences, so real steps are thrown away or padded ones let in. Compare the number "
        "of the step with each sequence's own length.",
        PADDING,
    ),
    "front-taken-for-padding": Misconception(
        "The last steps of each sequence are taken for the real ones. Here the padding stands behind them. (Language "
        "models often pad in front: ask which, since nothing raises an error.)",
        PADDING,
    ),
    "last-step-off": Misconception(
        "One step too many or too few. Steps count from 0: with a length of 3 the real ones are 0, 1 and 2, so real is "
        "`step < length`.",
        PADDING,
    ),
    "past-edited": Misconception(
        "The past was edited, and the past has moved: that says nothing. Change what stands at step t and later, and "
        "look at what comes before t.",
        LEAK,
    ),
    "future-compared": Misconception(
        "The outputs that were edited are among those compared. They may move in any layer, a causal one too; only the "
        "outputs before step t tell of a leak.",
        LEAK,
    ),
    "edited-step-compared": Misconception(
        "The output at step t itself is compared. Its own input was edited, so it moves in a causal layer as well. The "
        "past ends at t - 1: `[:, :t]`.",
        LEAK,
    ),
    "future-edited-in-part": Misconception(
        "Only a part of the future was edited. Everything from step t on was to change, t itself included: a layer may "
        "look one step ahead, or further than to the step that you happened to try.",
        LEAK,
    ),
    "inputs-replaced": Misconception(
        "The inputs were replaced, where 1 was to be added to each. Where an input happens to have the new value "
        "already, a replacement changes nothing, and the test sees no leak.",
        LEAK,
    ),
    "others-not-compared": Misconception(
        "Only the edited sequence is looked at. In a batch norm the others move as well, although nobody touched them.",
        LEAK,
    ),
    "every-sequence-edited": Misconception(
        "All sequences were edited. Then it cannot be seen whether one sequence reaches another, which in a batch norm "
        "it does: all move. Edit the first one alone.",
        LEAK,
    ),
    "changes-cancel": Misconception(
        "The changes are added up, or compared, with their signs, so up and down cancel or a fall counts as nothing. "
        "Take the absolute value of each difference first.",
        LEAK,
    ),
    "average-not-largest": Misconception(
        "An average or a sum is taken where the largest change was asked for. In an average a leak into one step fades "
        "as the sequence grows; and a sum grows with it.",
        LEAK,
    ),
    "sequences-together": Misconception(
        "There is one number, where one for each sequence was asked for. That the other sequences move as well, "
        "although nobody touched them, is what sets batch norm apart from a layer that merely looks ahead.",
        LEAK,
    ),
    "inputs-compared": Misconception(
        "The outputs are compared with the inputs. A layer changes its inputs in any case; compare its output on the "
        "edited sequences with its output on those as they were.",
        LEAK,
    ),
    "sum-normalised": Misconception(
        "W_x x and W_h h are added first and normalised once. Each is to have its own statistics and its own gamma: "
        "they differ in scale, and the model is to set how much each of them weighs.",
        LSTM,
    ),
    "bias-normalised-away": Misconception(
        "The bias is added before a norm, which subtracts it again: a constant goes into the mean. It belongs behind "
        "both.",
        LSTM,
    ),
    "bias-counted-twice": Misconception(
        "The bias is added twice, as if either norm had a beta. The two are added up, so a beta for each would be one "
        "too many: there is one bias.",
        LSTM,
    ),
    "one-sum-not-normalised": Misconception(
        "W_x x or W_h h goes into the gates as it is. Laurent et al. left W_h h so and normalised W_x x alone; "
        "Cooijmans et al. normalise both, each by itself.",
        LSTM,
    ),
    "cell-normalised-and-kept": Misconception(
        "The normalised cell is handed on to the next step. The cell is the memory: it is to pass from step to step "
        "through its gates alone. Normalise it on its way to the hidden state, and hand it on as it is.",
        LSTM,
    ),
    "cell-not-normalised": Misconception(
        "The cell reaches the last tanh as it is. It is the third place for a norm, with a gamma and a beta of its "
        "own; without it a cell that has grown over many steps saturates the tanh.",
        LSTM,
    ),
    "norm-behind-the-tanh": Misconception(
        "The norm stands behind the last tanh. It belongs in front, where it keeps the cell in the range in which tanh "
        "is not flat.",
        LSTM,
    ),
    "last-tanh-missing": Misconception(
        "The last tanh is missing. The norm stands in front of it, not in its place.",
        LSTM,
    ),
    "old-cell-shown": Misconception(
        "The hidden state is made from the cell of the step before. First the cell is renewed; then the new one is "
        "shown.",
        LSTM,
    ),
    "gammas-swapped": Misconception(
        "The gamma of W_x x and that of W_h h have changed places.",
        LSTM,
    ),
    "gates-in-another-order": Misconception(
        "The gates stand in another order. Here it is forget, input, output, candidate. Every implementation has its "
        "own: PyTorch's is input, forget, candidate, output, so weights are not to be copied as they are.",
        LSTM,
    ),
    "gates-interleaved": Misconception(
        "The gates are taken as every fourth column. They stand side by side: the first c columns are the forget gate, "
        "the next c the input gate.",
        LSTM,
    ),
    "candidate-through-sigmoid": Misconception(
        "The candidate is not passed through tanh. Gates lie between 0 and 1, a sigmoid; what they let in lies between "
        "-1 and 1, or the cell could only ever grow.",
        LSTM,
    ),
}
