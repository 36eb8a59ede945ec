"""Neighbour graphs, maps and clusters of vectors."""
