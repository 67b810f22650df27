"""A study's result as a matplotlib figure, in one style."""
