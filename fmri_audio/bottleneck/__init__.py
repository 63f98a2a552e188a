"""The bottleneck, the arms that go through it, their one training loop, and the store of trained ones."""
