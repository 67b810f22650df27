"""Tolerances of every comparison, in one table by dtype."""

import torch

# A few hundred roundings of the dtype's unit (2.2e-16, 1.2e-7, 7.8e-3, 9.8e-4): room for another order of summation, no
# room for another formula.
RTOL = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
