"""Training a head from demonstrations (`python -m policy.finetune`), and what all trainings share: device, schedule, resuming."""
