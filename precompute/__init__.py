"""Run a language model and its sparse autoencoder over a corpus; keep what is seen as checked artifacts."""
