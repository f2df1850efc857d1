"""What frozen tokens know: probes that are fitted to some scenes and measured on others (`python -m policy.probe`, and during pre-training)."""
