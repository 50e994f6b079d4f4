"""Measurements that anybody can repeat from a checkout: ``python -m benchmarks NAME``.

Each gives rows of figures, with what is needed to read them. The package does not know of this folder.
"""
