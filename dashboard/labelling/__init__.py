"""Labelling features: questions asked of the labels, the review queue, files taken in and given out."""
