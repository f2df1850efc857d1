"""Defaults of the example command."""
