"""Defaults of the evaluation commands, one YAML a command."""
