"""Mistakes in grading an answer: what is taken on trust, what is doubted without reason, what is not missed."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

SHIFT = "chapter 02, “Internal covariate shift, measured”"

OF_ANSWERS = {
    "measured-but-doubted": Misconception(
        "A sound statement is doubted. Statements 1 and 2 are the definition; that larger rates and worse starts "
        "train, and that the noise regularises mildly, is measured, here and by others. Doubt belongs to the reasons.",
        "chapter 07, “What was claimed, and what came out”",
    ),
    "distribution-taken-as-fixed": Misconception(
        "“A consistent distribution” passes for sound. Only mean and variance are fixed, batch by batch, and the "
        "learned scale and shift of statement 2 move them again, as the weights do with the shape. In this course's "
        "measurement the drift behind the norm was not half as large as in front of it, it was about the same.",
        "chapter 02, “Who takes the drift out?”",
    ),
    "contradiction-overlooked": Misconception(
        "“A consistent distribution” passes for a matter of debate. It need not come to one: statement 2 has just "
        "given the network a scale and a shift of its own, so that the answer contradicts itself.",
        "chapter 02, “Who takes the drift out?”",
    ),
    "shift-taken-as-proven": Misconception(
        "Internal covariate shift passes for the proven reason. It is the first paper's explanation. Networks into "
        "which a shift was put behind the norms trained well all the same, so it cannot be the whole reason.",
        SHIFT,
    ),
    "shift-taken-as-refuted": Misconception(
        "Internal covariate shift is thrown out. Of two definitions of it one is reduced in some networks, and what "
        "that is worth is still argued about: contested is the word. “Refuted” claims as much as “proven” does.",
        SHIFT,
    ),
    "interpretability-believed": Misconception(
        "Interpretability is let pass. No result says so; if anything, attributions in training mode depend on the "
        "rest of the batch, and a gamma alone does not say how much a channel matters.",
        "chapter 08, “What batch-mates do to an explanation”",
    ),
    "more-accurate-always": Misconception(
        "“More accurate, at any learning rate” is let pass. At a small rate the normalised network of chapter 00 is "
        "behind, and at a very large one it fails too. What is true is a wider range of rates that train.",
        "chapter 00, “What the picture does not show”",
    ),
    "contested-and-unsupported-swapped": Misconception(
        "“Contested” and “unsupported” are the wrong way round. Contested needs two sides with evidence; what a "
        "measurement contradicts, or nobody has shown, is unsupported.",
        "chapter 15, “Common mistakes, and how they sound”",
    ),
    "modes-not-missed": Misconception(
        "You do not list point 3, but no statement says where the statistics come from at inference. It is the half of "
        "the definition from which most bugs come.",
        "chapter 05, “An average that forgets”",
    ),
    "cost-not-missed": Misconception(
        "You do not list point 5, but every statement praises. An answer without a price sounds like a brochure: name "
        "one, such as that an output depends on the batch.",
        "chapter 00, “The price: your answer depends on your neighbours”",
    ),
    "debate-not-missed": Misconception(
        "You do not list point 6. Statement 4 names the debated explanation, and presents it as settled: that is the "
        "red flag, and not the point.",
        SHIFT,
    ),
    "made-but-missed": Misconception(
        "A point is called missing that a statement makes: 1 is made by statement 1, 2 by statement 2, and 4 by "
        "statement 5. A fair reviewer gives credit, also where the wording is not their own.",
        "",
    ),
    "made-for-missing": Misconception(
        "These are the points that the answer makes. Asked for are those that it leaves out.",
        "",
    ),
    "counted-from-zero": Misconception(
        "The points are counted from 0. The rubric's first point is number 1.",
        "",
    ),
}
