"""The step registry, subjects, the runner and its progress."""
