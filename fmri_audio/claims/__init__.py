"""The research note's claims, their queries and verdicts, the answers they give, and the report."""
