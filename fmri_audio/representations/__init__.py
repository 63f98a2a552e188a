"""Ways to write sound as numbers, behind one interface: waveform ``[B, 1, T]`` ↔ features ``[B, C, L]``."""
