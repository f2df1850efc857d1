"""What `envs.demos.inspect` finds out about demonstrations and how it shows it."""
