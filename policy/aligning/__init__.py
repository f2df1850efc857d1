"""What `python -m policy.align` does: which patch the words of a phrase mean, and which caption belongs to a picture."""
