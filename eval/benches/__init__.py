"""What `python -m eval.bench` measures: a module a choice of `what`."""
