"""Networks by somebody who has not read the doctor: with a fault, and without.

The first twenty were made without knowing the rules, the next by their titles alone, and those of `styles` with the
rules at hand, to try what they might stumble over.
"""

import pytest

from bnlab.doctor import examine
from bnlab.doctor.report import SEVERITIES
from tests.doctor.strangers import faults, healthy, planted, styles, unplanted

FOUND_AS = {  # the rule that says what the author of the fault wanted said
    "whole_model_in_bfloat16": "BN011",
    "checkpointed_stages_count_twice": "BN014",
    "pooled_branch_on_two_volumes": "BN001",
    "frozen_weights_moving_statistics": "BN007",
    "averaged_weights_without_buffers": "BN004",
    "optimizer_made_before_the_exchange": "BN007",
    "padding_in_the_statistics": "BN018",
    "copied_line_calls_the_first_norm_again": "BN010",
    "clipped_critic": "BN009",
    "folded_and_kept": "BN004",
}


def assert_found(report, rule, modules, severity):
    [finding, *_] = [finding for finding in report.findings if finding.id == rule]
    assert {finding.module, *finding.also} & set(modules), report
    assert SEVERITIES.index(finding.severity) <= SEVERITIES.index(severity), report


@pytest.mark.parametrize("name", faults.EXPECTED)
def test_a_strangers_fault_is_found(name):
    expected = faults.EXPECTED[name]
    assert_found(examine(**getattr(faults, name)()), FOUND_AS[name], expected.modules, expected.severity)


@pytest.mark.parametrize("name", planted.PLANTED)
def test_a_fault_planted_by_the_rules_title_is_found(name):
    assert_found(examine(**getattr(planted, name)()), *planted.PLANTED[name])


@pytest.mark.parametrize("name", styles.OUT_OF_STYLE)
def test_a_fault_in_another_style_is_found(name):
    assert_found(examine(**getattr(styles, name)()), *styles.OUT_OF_STYLE[name])


HEALTHY = [*healthy.HEALTHY, *unplanted.HEALTHY_TOO, *styles.STYLISH]


@pytest.mark.parametrize("network", HEALTHY, ids=lambda network: network.__name__)
def test_a_strangers_healthy_network_is_healthy(network):
    report = examine(**network())
    assert report.healthy, report
