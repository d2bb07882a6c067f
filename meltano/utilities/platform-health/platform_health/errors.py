"""What ends a command in one line."""


class HealthError(Exception):
    """Something is wrong with the platform, or cannot be looked at: what, and what to do."""
