"""Can sound pass through a bottleneck the size and rate of fMRI? The thin package behind the paper."""

__version__ = "0.1.0"
