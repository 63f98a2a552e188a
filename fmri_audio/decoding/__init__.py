"""From BOLD back to a code: linear readers, identification, information, and checks for leaks."""
