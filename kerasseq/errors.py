"""Errors that are the user's to mend."""


class UserError(ValueError):
    """Something in the input, the settings or the machine; shown as one line, exit status 2."""

    status = 2


class StorageError(UserError):
    """A file cannot be written; no other settings would mend it."""
