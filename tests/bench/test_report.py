import io
import json
import re

import pytest
from rich.console import Console

from bnlab.bench.report import Report
from bnlab.bench.shapes import DEFAULTS
from tests.bench.made_up import MACHINE, SECONDS, measured

REPORT = Report(MACHINE, (measured(), measured("128x64x56x56:channels_last")))
GROWN = Report(MACHINE, (), (("C", measured("32x4x28x28")), ("threads", measured("32x64x56x56", threads=1))))


def shown(report):
    stream = io.StringIO()
    Console(file=stream, width=80, markup=False, highlight=False).print(report)
    return stream.getvalue()


@pytest.mark.parametrize("scale", [1, 0.01, 300])
def test_tables_keep_to_80_columns_and_cut_nothing(scale):
    taken = {name: [scale * one for one in seconds] for name, seconds in SECONDS.items()}
    fast = {"copy": [1.0] * 3, "NumPy_new": [2345.6] * 2, "torch": [123.4] * 3}
    every = [measured(text, **taken) for text in DEFAULTS.split(",")]
    text = shown(Report(MACHINE, (*every, measured("128x64x56x56:channels_last", **fast)), GROWN.growing))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_the_tables_show_ratios_quartiles_milliseconds_and_what_was_missed():
    text = shown(REPORT)
    row, below = re.search(r"4096x512 +(0.*)\n +(.*)", text).groups()
    times = re.search(r"4096x512 +(1 .*)", text)[1]
    assert row.split() == ["0.50", "2.00", "2.50", "-", "20.00", "1.10", "0.50", "1.50"]
    assert below.split()[0] == ".38-.75"
    assert times.split() == ["1", "2", "4", "2", "5", "-", "40", "5", "6", "9"]
    assert "4096x512: a ReLU makes it 1.10 times as long, goal 1.05" in text
    assert "torch.compile, new: skipped, no compiler" in text
    assert "Some processor, 2 cores, 2026-01-31" in text


def test_growth_is_shown_in_nanoseconds_an_element():
    row = re.search(r"\nC +32x4x28x28 +2 +(.*)", shown(GROWN))[1]
    elements = 32 * 4 * 28 * 28
    assert row.split()[:2] == [f"{1e6 / elements:.3f}", f"{2e6 / elements:.3f}"]


def test_json_keeps_every_round_and_what_follows_from_it():
    kept = json.loads(REPORT.to_json())
    assert kept.keys() == {"schema", "machine", "measured", "growing"}
    assert kept["machine"]["processor"] == "Some processor"
    first = kept["measured"][0]
    assert first.keys() == {"shape", "megabytes", "threads", "skipped", "ratios", "seconds"}
    assert first["seconds"]["ours"] == [0.002, 0.001, 0.004]
    assert first["ratios"]["forward_of_copy"] == pytest.approx({"low": 0.375, "median": 0.5, "high": 0.75})
    assert "forward_to_compiled_new" not in first["ratios"]


@pytest.mark.parametrize("report", [REPORT, GROWN], ids=["compared", "grown"])
def test_json_is_read_back(report):
    again = Report.from_json(report.to_json())
    assert again == report
    assert shown(again) == shown(report)


def test_another_schema_is_refused():
    with pytest.raises(ValueError, match="expected a benchmark of schema 1, got 0"):
        Report.from_json('{"schema": 0}')


def test_the_readmes_table_shows_goals_and_says_which_are_missed():
    text = REPORT._repr_markdown_()
    assert "| `4096x512` | 8.4 | 0.50 [0.37, 0.75], goal 0.50 | 2.00 [1.50, 3.00] | - | 20.00 [20.00, 20.00] |" in text
    assert "All goals met: by no shape." in text
    assert "- `4096x512`: a ReLU makes it 1.10 times as long, goal 1.05.\n" in text + "\n"
    met = Report(MACHINE, (measured(ours=[1.0], ours_ReLU=[1.0], ours_both=[2.0]),))
    assert "All goals met: `4096x512`." in met._repr_markdown_()
