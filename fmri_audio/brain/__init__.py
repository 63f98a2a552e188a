"""Brains as matrices: a fixed mask, cleaning without leaks, inter-subject correlation, noise ceilings.

A matrix of BOLD is ``[TRs, voxels]`` throughout, float32, one row per volume; its columns are the mask's voxels in C
order, as ``volume[mask]`` gives them. Neither motion nor any other confound is regressed out: the release has none to
regress, and what every study of the book goes through is the same.
"""
