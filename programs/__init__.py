"""What stands around the package: the workflow behind make, training of the codec, benchmarks."""
