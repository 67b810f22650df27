"""Benchmarks: what the package's fast ways are worth on this machine, against the obvious way to do the same work.

`training` has a sweep of networks as one ensemble, `kernels` batch norm itself; `rounds` says how calls are compared,
`report` shows what came out, beside the goals.
"""
