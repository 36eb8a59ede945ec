"""Computations as processes of their own, each with a record on disk that whoever asks can follow."""
