"""Errors that speak to the reader: what was found, what was expected, what to do."""

from __future__ import annotations


class LightwellError(Exception):
    """A failure that the user can read in one line; ends a command with exit code 1."""

    exit_code = 1


class UsageError(LightwellError):
    """Bad usage, configuration or input; ends a command with exit code 2."""

    exit_code = 2

    def __init__(self, found: str, expected: str, remedy: str) -> None:
        self.found, self.expected, self.remedy = found, expected, remedy
        super().__init__(f"{found}; expected {expected}; {remedy}")

    def __reduce__(self) -> tuple[type[UsageError], tuple[str, str, str]]:
        """Of its parts, so that a worker process can raise it where the command runs."""
        return type(self), (self.found, self.expected, self.remedy)


class ConfigError(UsageError):
    """A configuration file or setting that does not describe a subject."""


class ModelError(UsageError):
    """A model, adapter, tokenizer or capture site that cannot be used as asked."""


class SAEFormatError(UsageError):
    """SAE weights or an SAE configuration that cannot be read, or is not supported."""


class CorpusError(UsageError):
    """A corpus that cannot be read, or holds nothing."""


class StoreError(UsageError):
    """An activation store that is not there, or is asked for something it does not hold."""


class LabelError(UsageError):
    """A label, a feature set or a file of labels that cannot be taken or read."""


class ArtifactMissingError(LightwellError):
    """An artifact that has not been computed yet."""


class CorruptArtifactError(LightwellError):
    """An artifact whose bytes are not those that were published."""


class NotApplicableError(LightwellError):
    """A step that has no meaning for its subject, with the reason."""


class DiskSpaceError(UsageError):
    """Not enough free space for what is about to be written."""


class WorkerLostError(LightwellError):
    """Pieces of a step that were lost with the processes that worked on them."""
