"""Every choice of training an autoencoder, checked before torch is imported."""

from __future__ import annotations

from typing import Annotated, Any

from policy.diffusion.needs import need_diffusers
from policy.diffusion.vae_folder import find_vae
from policy.options import Batch, Device, LearningRate, Precision, Threads, WeightDecay
from policy.pretrain.data_settings import DataSettings
from whatwhere.errors import BadInput
from whatwhere.kinds import Count, InputPath, Length, OutputFolder, Range, Seed, Share
from whatwhere.options import options

GROUPS = 8  # of channels that are normalised together


@options
class Settings(DataSettings):
    """What `policy/conf/autoencoder.yaml` describes."""

    out: OutputFolder
    init: InputPath | None
    decoder_only: bool
    steps: Count
    batch: Batch
    lr: LearningRate
    weight_decay: WeightDecay
    warmup: Share
    seed: Seed
    channels: Annotated[int, Range(1, 64)]
    widths: Annotated[tuple[Annotated[int, Range(GROUPS, 1024)], ...], Length(1, 6)]
    kl: Annotated[float, Range(0, 1)]
    precision: Precision
    device: Device
    num_threads: Threads
    save_every: Count

    def __post_init__(self) -> None:
        need_diffusers("policy.autoencoder")
        super().__post_init__()
        if self.decoder_only and self.init is None:
            raise BadInput("decoder_only=true: needs init=, a VAE whose latents stay as they are")
        if self.init is not None:
            self._like(find_vae(self.init, "init")[0])
        if any(width % GROUPS for width in self.widths):
            raise BadInput(f"widths={list(self.widths)}: must be multiples of {GROUPS}")
        if self.size is not None and self.size % 2 ** (len(self.widths) - 1):
            raise BadInput(f"size={self.size}: must be a multiple of {2 ** (len(self.widths) - 1)}, by which {len(self.widths)} widths divide it")

    def _like(self, config: dict[str, Any]) -> None:
        """Raises BadInput unless `init` has the sizes that are given."""
        for name, key, given in (("channels", "latent_channels", self.channels), ("widths", "block_out_channels", list(self.widths))):
            if (found := config.get(key)) != given:
                raise BadInput(f"init={self.init}: has {name}={found}, but {name}={given} is asked for; give {name}={found}")
