"""Browse the artifacts of precompute in a Dash application."""
