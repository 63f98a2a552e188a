"""Training of the coders: sound behind a nested code, on hours of sound and without a brain.

``python -m programs bottleneck train CODER`` trains one; ``make bottleneck`` all, and measures them.
"""
