"""The embedded demo: a small model, its SAEs, and the scripts that trained them."""
