"""What ends a command, in words for whoever started it."""


class OperatorError(Exception):
    """Says what to change; nothing of the step that failed has happened."""
