"""Demonstrations: one HDF5 file an episode. Collect, read, draw again, replay; and play video for pre-training."""
