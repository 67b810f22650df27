"""Where Triton is missing, which exists for Linux only, the modules that need it cannot be searched for doctests."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("triton") else ["bnlab/kernels/gpu/*.py"]
