"""Stimulus and brains on disk: reader and checker for every layout, splits, lagged windows."""
