import pytest

from bnlab.kernels.traffic import CASES, accesses, share_of_copy, unfused

TABLE = {  # resident, streaming, unfused: each counted by hand, from the tensors that a sweep reads and writes
    "forward": (2, 3, 3),
    "forward, ReLU": (2, 3, 5),
    "forward, add, ReLU": (3, 4, 8),
    "inference": (2, 2, 2),
    "inference, ReLU": (2, 2, 4),
    "inference, add": (3, 3, 5),
    "inference, add, ReLU": (3, 3, 7),
    "backward": (3, 5, 5),
    "backward, ReLU": (3, 5, 8),
    "backward, add, ReLU": (4, 6, 8),
    "constant backward": (3, 3, 3),
    "constant backward, ReLU": (3, 3, 6),
    "constant backward, add, ReLU": (4, 4, 6),
}


@pytest.mark.parametrize("case", TABLE)
def test_accesses_are_those_of_the_sweeps(case):
    resident, streaming, apart = TABLE[case]
    assert accesses(case, resident=True).total == resident
    assert accesses(case, resident=False).total == streaming
    assert unfused(case) == apart


def test_every_case_has_its_count():
    assert TABLE.keys() == CASES.keys()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("resident", [True, False])
def test_a_mask_read_from_the_output_costs_a_read_where_something_was_added(case, resident):
    bits, output = (accesses(case, resident=resident, mask=mask) for mask in ("bits", "output"))
    assert output.writes == bits.writes
    assert output.reads - bits.reads == (case in {"backward, add, ReLU", "constant backward, add, ReLU"})


@pytest.mark.parametrize(
    ("cases", "resident", "fetching", "share"),
    [
        (("forward",), False, False, 2 / 3),
        (("forward",), False, True, 3 / 4),  # a copy makes 3 accesses then, this 4
        (("forward", "backward"), True, False, 1.0),
        (("forward", "backward"), False, False, 5 / 8),
        (("forward", "backward"), False, True, (5 / 2) * 3 / 10),
        (("forward", "backward"), True, True, (5 / 2) * 3 / 7),  # beyond 1: of a copy's accesses more are writes
    ],
)
def test_the_share_of_a_copy_is_what_the_accesses_leave(cases, resident, fetching, share):
    assert share_of_copy(*cases, resident=resident, fetching=fetching) == pytest.approx(share)


def test_a_mask_read_from_the_output_lowers_the_share():
    case = "backward, add, ReLU"
    assert share_of_copy(case, resident=True, mask="output") == pytest.approx(4 / 5)


def test_an_unknown_case_is_refused():
    with pytest.raises(ValueError, match=r"expected a case of forward; .*, got 'sideways'"):
        accesses("sideways", resident=True)
    with pytest.raises(ValueError, match="got 'sideways'"):
        unfused("sideways")
