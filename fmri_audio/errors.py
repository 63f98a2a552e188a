"""The one exception for mistakes a user can make and mend."""


class UserError(Exception):
    """Something the user can put right, said in one sentence.

    The message names the file or key, says what is wrong with it and what to do. Commands print it to
    standard error as one line and exit with status 1, without a traceback.
    """
