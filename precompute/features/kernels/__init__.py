"""Compiled kernels of the steps: single passes over sparse arrays, one noun a module."""
