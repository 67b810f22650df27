"""The interview room in a terminal: questions asked and marked, a timed mock, its scorecard and its report."""
