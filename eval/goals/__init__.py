"""What should be: goals that are given, and what a policy says it wants."""
