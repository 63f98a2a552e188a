"""The one exception for mistakes a user can make and mend."""

import re


class UserError(Exception):
    """Something the user can put right, said in one sentence.

    The message names the file or key, says what is wrong with it and what to do. Commands print it to
    standard error as one line and exit with status 1, without a traceback.
    """

    def __str__(self) -> str:
        """Return the sentence on one line: names of files and keys may hold line ends, or codes for terminals."""
        return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", super().__str__())
