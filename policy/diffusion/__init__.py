"""Pictures by latent diffusion (spec A7; docs/latent_diffusion.md): a frozen autoencoder, and a network that learns noise from a change."""
