"""The operators of `bnlab.reference`, made fast: by numba in `cpu`, by Triton in `gpu`; `traffic` says how fast."""
