"""Simulated brains of known truth, written in a real layout and read back by the same reader."""
