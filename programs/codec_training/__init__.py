"""Training of the demo codec: EnCodec's topology, narrow enough for the repository, on sounds we make.

``python -m programs codec`` renders a corpus, trains and exports;
``python -m programs codec-evaluate`` measures a checkpoint. See ``checkpoints/README.md``.
"""
