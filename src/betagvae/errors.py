"""The one exception that stands for a mistake a user can mend."""


class UserError(Exception):
    """Bad input or a bad environment; the message is one line that says what to do."""
