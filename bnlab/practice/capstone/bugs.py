"""The training scripts of the capstone and the bugs that are planted in them, three in each."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("scripts")


@dataclass(frozen=True)
class Bug:
    """A wrong line that raises no error.

    Attributes:
        name: what it is, in a few words.
        edits: pairs of text as it stands in the sound script and as it is planted.
        marks: pieces of the planted lines by which each of them counts as the bug's; where a line is missing or too
            late, the lines between which it belongs.
        rule: by which the doctor finds it; None if it cannot.
        sight: how the doctor sees it, or why it cannot.
        why: what goes wrong, and what is right.
        chapter: stem of the chapter that teaches it.
    """

    name: str
    edits: tuple[tuple[str, str], ...]
    marks: tuple[str, ...]
    rule: str | None
    sight: str
    why: str
    chapter: str


@dataclass(frozen=True)
class Script:
    """A training script.

    Attributes:
        id: its file's name in the folder `scripts`, without an ending.
        bugs: what is planted.
        given_away_by: ids of questions that speak of one of the bugs, and are not asked beside it.
    """

    id: str
    bugs: tuple[Bug, ...]
    given_away_by: tuple[str, ...]

    @property
    def sound(self) -> str:
        """The text without bugs."""
        return (FOLDER / f"{self.id}.py").read_text(encoding="utf-8")

    def planted(self, *bugs: Bug) -> str:
        """The text with these bugs in it, by default with all three.

        Raises:
            ValueError: a text to be replaced does not stand in the script exactly once.
        """
        text = self.sound
        for bug in bugs or self.bugs:
            for old, new in bug.edits:
                if text.count(old) != 1:
                    raise ValueError(f"{self.id}: {bug.name}: expected {old!r} once, got it {text.count(old)} times")
                text = text.replace(old, new)
        return text

    def lines_of(self, bug: Bug) -> tuple[int, ...]:
        """The numbers, from 1, of the lines of the planted script that count as a bug's."""
        lines = enumerate(self.planted().splitlines(), start=1)
        return tuple(number for number, line in lines if any(mark in line for mark in bug.marks))

    def found(self, lines: tuple[int, ...]) -> tuple[Bug, ...]:
        """The bugs to which these lines belong.

        Example:
            >>> [bug.name for bug in SCRIPTS["digits"].found((1, 25))]
            ['sorted batches']
        """
        return tuple(bug for bug in self.bugs if set(self.lines_of(bug)) & set(lines))


DIGITS = Script(
    "digits",
    (
        Bug(
            name="sorted batches",
            edits=(("BATCH_SIZE, shuffle=True, drop_last", "BATCH_SIZE, shuffle=False, drop_last"),),
            marks=("shuffle=False",),
            rule="BN013",
            sight="It reads the loader, and the batches' means lie further apart than chance allows.",
            why="The images lie in order of their digits and the loader does not shuffle, so a batch holds one digit, "
            "or two. Each is normalised by its own kind of images, and evaluation by all kinds.",
            chapter="10_mistakes",
        ),
        Bug(
            name="momentum of Keras",
            edits=(("eps=1e-5, momentum=0.1)", "eps=1e-3, momentum=0.99)"),),
            marks=("momentum=0.99",),
            rule="BN005",
            sight="It reads the layers' settings.",
            why="Both numbers are Keras's defaults. There 0.99 weighs the old value, here the new one: the running "
            "statistics are those of the last batch.",
            chapter="05_mechanism_inference",
        ),
        Bug(
            name="evaluation mode kept",
            edits=(
                (
                    "    for _ in range(EPOCHS):\n        model.train()\n",
                    "    model.train()\n    for _ in range(EPOCHS):\n",
                ),
            ),
            marks=("    model.train()", "for _ in range(EPOCHS)", "    model.eval()"),
            rule="BN004",
            sight="It is handed a network in some mode and cannot see where your loop switches it, but it sees the "
            "trace: statistics that stood still while the weights moved on.",
            why="`accuracy` leaves the model in evaluation mode, and `model.train()` stands before the loop over the "
            "epochs, not in it. From the second epoch on the running statistics normalise, and stand still.",
            chapter="10_mistakes",
        ),
    ),
    given_away_by=(
        "validation-lags-training",
        "diverges-after-validation",
        "unshuffled-loader",
        "momentum-conventions",
    ),
)
TRANSFER = Script(
    "transfer",
    (
        Bug(
            name="checkpoint without buffers",
            edits=(("model.state_dict().items()", "model.named_parameters()"),),
            marks=("model.named_parameters()", "strict=False"),
            rule=None,
            sight="It is handed the network at the end, and knows nothing of the checkpoint. Statistics that were lost "
            "and have been moved since look like any others.",
            why="Running statistics are buffers, not parameters: they are missing from what is saved, and "
            "`strict=False` keeps quiet about it. The body begins with mean 0 and variance 1, and would serve with "
            "them if the next bug did not move them.",
            chapter="14_production",
        ),
        Bug(
            name="half frozen",
            edits=(("        model.body.eval()\n", ""),),
            marks=("model.body.requires_grad_(False)", "if frozen:", "    model.train()"),
            rule="BN007",
            sight="It sees norms in training mode whose scale and shift are frozen.",
            why="`requires_grad_` keeps the optimizer away from the body, and does nothing about its norms: every "
            "batch normalises itself and moves the statistics. `model.body.eval()` belongs here, after "
            "`model.train()`.",
            chapter="10_mistakes",
        ),
        Bug(
            name="optimizer of the old head",
            edits=(
                ("    model.head = nn.Linear(WIDTH, 5)\n    optimizer", "    optimizer"),
                (
                    "lr=0.2, momentum=0.9)\n    fit(model, loader",
                    "lr=0.2, momentum=0.9)\n    model.head = nn.Linear(WIDTH, 5)\n    fit(model, loader",
                ),
            ),
            marks=("SGD(model.head.parameters()", "model.head = nn.Linear"),
            rule=None,
            sight="No norm is concerned, and its rules are about norms.",
            why="The optimizer is made before the head is replaced, so it moves the old head, which nobody uses. The "
            "new one stays as it was drawn.",
            chapter="08_use_cases_cnn",
        ),
    ),
    given_away_by=("linear-probe-moves-the-features", "freeze-batch-norm", "checkpoint-to-serving"),
)
TISSUE = Script(
    "tissue",
    (
        Bug(
            name="statistics of the test set",
            edits=(("test_x = (test_x - mean) / std", "test_x = (test_x - test_x.mean(0)) / test_x.std(0)"),),
            marks=("test_x.std(0)",),
            rule=None,
            sight="It meets numbers, and cannot know by which statistics they were standardised.",
            why="The test examples are standardised by their own mean and spread. What is said of an example then "
            "depends on the others, as under batch norm in training mode; the training set's numbers belong here.",
            chapter="05_mechanism_inference",
        ),
        Bug(
            name="one block twice",
            edits=(("x = self.other(x)", "x = self.one(x)"),),
            marks=("        x = self.one(x)",),
            rule="BN010",
            sight="It counts how often each norm runs in a pass; by BN004 it also sees the one that never ran.",
            why="The first block runs twice and the other never. The norm of the first meets two different inputs, and "
            "one running average has to serve both.",
            chapter="10_mistakes",
        ),
        Bug(
            name="statistics of the other model",
            edits=(("update_bn(loader, averaged)", "update_bn(loader, model)"),),
            marks=("update_bn(loader, model)",),
            rule="BN004",
            sight="It runs the data through the network, and finds other statistics than those that are stored.",
            why="Averaged weights need statistics of their own. Here those of the last model that was trained are "
            "taken anew, and the averaged one keeps the copy of them that it was given before.",
            chapter="14_production",
        ),
    ),
    given_away_by=("averaged-weights",),
)
SCRIPTS = {script.id: script for script in (DIGITS, TRANSFER, TISSUE)}
