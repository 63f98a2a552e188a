"""How the lag between two recordings is come by: names that the command offers before it loads what finds them."""

LAG_METHODS = ("correlation", "known", "envelope")
