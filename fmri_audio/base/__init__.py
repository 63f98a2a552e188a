"""What everything stands on: errors, files, settings, exact time, tidy results, fingerprints of code."""
