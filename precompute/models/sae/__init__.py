"""Sparse autoencoders: one module an architecture, one a file format, and the registry of both."""
