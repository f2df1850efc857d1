"""Checkpoints on disk: `checkpoint` writes and loads them; `stored` and `tensorfile` find and verify the files without torch."""

FORMAT = 1  # of manifest.json and config.json
