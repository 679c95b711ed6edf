"""The error that ends a command."""


class OperatorError(Exception):
    """The message says what to correct. The step that failed changed nothing."""
