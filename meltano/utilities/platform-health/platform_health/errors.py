"""The error that ends a command."""


class HealthError(Exception):
    """The platform has a problem or cannot be checked; the message says why in one line."""
