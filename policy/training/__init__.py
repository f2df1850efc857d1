"""Training a head from demonstrations (`python -m policy.finetune`): data, cached tokens, the loop, and what lets a killed run go on."""
