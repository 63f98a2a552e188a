"""Layouts of data sets, one file each: where scans, events and sounds lie, and what the data set says of them."""
