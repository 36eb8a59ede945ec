"""Language models, capture sites and sparse autoencoders."""
