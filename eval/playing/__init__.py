"""What `eval.run` plays episodes with: checks before it, worker processes, the player in each, the policies, progress."""
