"""Batch norm in Triton: deterministic kernels, proven by the interpreter and by ahead-of-time compilation.

`launch` has the functions on tensors; `forward_pass` and `backward_pass` the kernels, made of what is in `tiles`, with
tiles cut as `layout` says; `report` compiles them for GPUs that are not here, and `facts` keeps what it found. Triton
exists for Linux only, so all but `layout` and `facts` can be imported only there.
"""
