"""Compiled loops of the neighbour search."""
