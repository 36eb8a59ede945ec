"""Text autoencoders: an activation is written as a few tokens, and predicted from them again."""
