"""Questions that take more than one artifact, each with the records that answer it."""
