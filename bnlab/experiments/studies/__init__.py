"""The studies, one module each; their results with the default settings are stored in the package."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bnlab.experiments.names import unknown
from bnlab.experiments.provenance import code_digest
from bnlab.experiments.study import Result, Settings, seeds_from

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Study:
    """A module with a `Config`, a `Result` and a `run` from the one to the other, and settings to run it with.

    Attributes:
        name: what it is called; its stored result is `results/<name>.json`.
        module: name of the module in this package.
        changes: settings that are not the module's defaults.
        timed: whether it measures seconds, so that nothing may compute beside it.
    """

    name: str
    module: str
    changes: tuple[tuple[str, Any], ...] = ()
    timed: bool = False

    @property
    def path(self) -> str:
        """The module, in full."""
        return f"{__name__}.{self.module}"

    def config(self, **changes: Any) -> Settings:
        """The study's settings, with further changes."""
        made: Settings = import_module(self.path).Config(**dict(self.changes) | changes)
        return made

    def config_of_run(self, number: int) -> Settings:
        """The study's settings, with the seeds of the run of this number; see `seeds_from`."""
        return self.config(seeds=seeds_from(number, len(self.config().seeds)))

    def run(self, config: Settings) -> Result:
        """Computes the study anew."""
        result: Result = import_module(self.path).run(config)
        return result

    def stored(self) -> Result:
        """The result that ships with the package.

        Raises:
            ValueError: it was computed with other settings than the study has now.
        """
        result: Result = import_module(self.path).Result.load(RESULTS / f"{self.name}.json")
        if result.config != self.config():
            raise ValueError(f"{self.name}: expected a stored result of {self.config()}, got one of {result.config}")
        return result

    def is_current(self) -> bool:
        """Whether the stored result was computed by the code as it is now."""
        return self.stored().provenance.code == code_digest(self.path)


STUDIES = {
    study.name: study
    for study in (
        Study("running_statistics", "running_statistics"),
        Study("signal_propagation", "signal_propagation"),
        Study("input_drift", "input_drift"),
        Study("training_curves", "training_curves"),
        Study("learning_rate_tolerance", "learning_rate_tolerance"),
        Study(
            "learning_rate_tolerance_mnist1d",
            "learning_rate_tolerance",
            (("dataset", "mnist1d"), ("learning_rates", (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)), ("steps", 300)),
        ),
        Study("rate_by_group", "rate_by_group"),
        Study("convergence", "convergence", timed=True),
        Study("convergence_sigmoid_start", "convergence", (("scale", 4.0), ("steps", 400)), timed=True),
        Study(
            "convergence_relu",
            "convergence",
            (("activation", "relu"), ("learning_rates", (0.03, 0.1, 0.3, 1.0, 3.0)), ("steps", 200)),
            timed=True,
        ),
        Study("init_sensitivity", "init_sensitivity"),
        Study("batch_noise", "batch_noise", (("seeds", tuple(range(12))),)),  # a small effect in accuracy
        Study("regularisers", "regularisers"),
        Study(
            "weight_decay", "regularisers", (("compared", ("batch_norm", "decay", "decay_of_fed", "decay_of_rest")),)
        ),
        Study("residual_signal", "residual_signal"),
        Study("depth", "depth"),
        Study("norm_placement", "small_cnns"),
        Study(
            "small_resnet",
            "small_cnns",
            (
                ("compared", ("residual", "residual_norm", "zero_gamma")),
                ("learning_rates", (0.03, 0.1, 0.3, 1.0, 3.0)),
                ("steps", 80),
            ),
        ),
        Study("affine_only", "affine_only"),
        Study("channel_importance", "channel_importance"),
        Study("recurrent_norm", "recurrent_norm"),
        Study("recurrent_norm_mnist1d", "recurrent_norm", (("dataset", "mnist1d"),)),
        Study("transformer_norms", "transformer_norms"),
        Study("future_leak", "future_leak"),
        Study("small_batches", "small_batches"),
        Study(
            "small_batches_cnn",
            "small_batches",
            (
                ("network", "cnn"),
                ("compared", ("batch_norm", "group_norm")),
                ("learning_rates", (0.025, 0.05, 0.1, 0.2, 0.4)),
            ),
        ),
        Study("batch_mean_spread", "batch_mean_spread"),
        Study("norm_free", "norm_free"),
        Study("sorted_batches", "sorted_batches"),
        Study("dropout_before_norm", "dropout_before_norm"),
        Study("served_shift", "served_shift"),
        Study("weight_averaging", "weight_averaging"),
        Study("scale_invariance", "scale_invariance"),
        Study("effective_rate", "effective_rate"),
        Study("gradient_growth", "gradient_growth"),
        Study("activation_growth", "activation_growth"),
        Study("noisy_norm", "noisy_norm"),
        # Of ten seeds, as many as were run first, the interval of effective smoothness reached down to its margin.
        Study("landscape", "landscape", (("seeds", tuple(range(20))),)),
        Study("landscape_higher_rate", "landscape", (("learning_rate", 0.2),)),
        Study("landscape_digits", "landscape", (("dataset", "digits"),)),
    )
}


def study_of(name: str) -> Study:
    """The study of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in STUDIES:
        raise unknown("the name of a study", name, STUDIES)
    return STUDIES[name]


def result(name: str, *, rerun: bool = False) -> Any:
    """A study's result with its default settings: the stored one, or computed anew.

    Raises:
        ValueError: there is no study of this name, or what is stored belongs to other settings.
    """
    study = study_of(name)
    return study.run(study.config()) if rerun else study.stored()
