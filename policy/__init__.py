"""A two-stream change encoder, pixel-wise fusion and an inverse-dynamics head. Start reading at `policy.model`."""
