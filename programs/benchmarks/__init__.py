"""How fast things are beside the ways there were before, measured by make bench."""
