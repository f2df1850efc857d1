"""What `policy`, `envs` and `eval` share: the command line, files that survive a crash, and the version pins."""
