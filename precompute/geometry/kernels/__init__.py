"""Compiled kernels of neighbour graphs and maps."""
