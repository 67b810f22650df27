"""Data, networks, training, and one module for each study."""
