"""Best-of-K sweeps of text autoencoders: how much of an activation the best of K explanations recovers."""
