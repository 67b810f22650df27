"""Tasks, their checks, and what is kept of them."""
