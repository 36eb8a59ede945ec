"""The steps of the SAE job, one module each."""
