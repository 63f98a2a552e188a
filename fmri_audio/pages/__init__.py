"""What pages are made of: players, tables, figures, glued numbers."""
