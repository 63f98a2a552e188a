"""One module per chapter: functions that return frames, records and sentences, which the cells show."""
