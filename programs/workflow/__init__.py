"""The machinery behind ``make``: what depends on what, running notebooks, putting pages together.

Nothing in here is imported by a chapter, and nothing in here imports what a chapter computes with, so that
a change to the machinery re-executes no notebook and starting it does not wait for torch.
"""
