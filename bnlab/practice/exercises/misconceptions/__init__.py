"""The mistakes that people make in batch normalisation, each under an id, with why it is wrong and where to read on."""

from bnlab.practice.exercises.misconceptions.alternatives import OF_ALTERNATIVES
from bnlab.practice.exercises.misconceptions.any_function import OF_ANY_FUNCTION
from bnlab.practice.exercises.misconceptions.backward import OF_THE_BACKWARD_PASS
from bnlab.practice.exercises.misconceptions.capstone import OF_THE_CAPSTONE
from bnlab.practice.exercises.misconceptions.clinic import OF_THE_CLINIC
from bnlab.practice.exercises.misconceptions.comparisons import OF_COMPARISONS
from bnlab.practice.exercises.misconceptions.effects import OF_EFFECTS
from bnlab.practice.exercises.misconceptions.explanations import OF_EXPLANATIONS
from bnlab.practice.exercises.misconceptions.forward import OF_THE_FORWARD_PASS
from bnlab.practice.exercises.misconceptions.inference import OF_INFERENCE
from bnlab.practice.exercises.misconceptions.interview import OF_ANSWERS
from bnlab.practice.exercises.misconceptions.kernels import OF_KERNELS
from bnlab.practice.exercises.misconceptions.networks import OF_NETWORKS
from bnlab.practice.exercises.misconceptions.sequences import OF_SEQUENCES
from bnlab.practice.exercises.misconceptions.serving import OF_SERVING

SUBJECTS = (
    OF_THE_FORWARD_PASS,
    OF_THE_BACKWARD_PASS,
    OF_INFERENCE,
    OF_EFFECTS,
    OF_COMPARISONS,
    OF_NETWORKS,
    OF_SEQUENCES,
    OF_THE_CLINIC,
    OF_ALTERNATIVES,
    OF_EXPLANATIONS,
    OF_KERNELS,
    OF_SERVING,
    OF_ANSWERS,
    OF_THE_CAPSTONE,
    OF_ANY_FUNCTION,
)
MISCONCEPTIONS = {id_: misconception for subject in SUBJECTS for id_, misconception in subject.items()}
