"""Corpora: readers, subsets, the built-in documentation corpus."""
