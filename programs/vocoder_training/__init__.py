"""Training of two networks of Vocos' architecture: a second decoder for the demo codec's codes, and a mel vocoder.

``python -m programs vocoder codes`` and ``python -m programs vocoder mel`` train and export. See
``checkpoints/README.md``.
"""
