"""Data sets that ``make data`` fetches: which files, from where, and their hashes."""
