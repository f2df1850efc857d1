"""What `eval.say` does: a sentence of the user's own becomes an episode, and what came of it is told, on a page or line by line."""
