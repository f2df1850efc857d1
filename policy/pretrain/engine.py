"""One process or many: Hugging Face Accelerate under `torchrun`, and nothing of it where there is one process.

Accelerate and not Lightning Fabric: it reads torchrun's environment, knows GPUs, CPUs and several machines, and all but one of its own
dependencies come with timm. It wraps the model in DistributedDataParallel; precision, batches and files stay ours, so that one process gives
the same bits with it and without.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from policy.training.device import choose_device
from whatwhere.errors import BadInput


class Engine:
    """`rank` of `world` processes, the device of this one, and what they do together. Raises BadInput for a device that is not there."""

    def __init__(self, device: str) -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank, self.accelerator = 0, None
        if self.world == 1:
            self.device = choose_device(device)
            return
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs

        if device not in ("auto", "cpu", "cuda"):
            raise BadInput(f"device={device}: with several processes each takes its own; valid: auto, cpu, cuda")
        choose_device(device)
        handlers: list[Any] = [DistributedDataParallelKwargs(find_unused_parameters=True)]  # an objective may leave a part out of a step
        self.accelerator = Accelerator(cpu=device == "cpu" or not torch.cuda.is_available(), kwargs_handlers=handlers)
        self.rank, self.world, self.device = self.accelerator.process_index, self.accelerator.num_processes, self.accelerator.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as the training step calls it; parameters are those of the first process."""
        return model if self.accelerator is None else self.accelerator.prepare_model(model)

    def alone(self, model: nn.Module, last: bool) -> contextlib.AbstractContextManager:
        """Within it gradients are summed up in this process only, unless this is the `last` piece of a batch."""
        return contextlib.nullcontext() if self.accelerator is None or last else self.accelerator.no_sync(model)

    def everyones(self, figures: dict[str, float]) -> list[dict[str, float]]:
        """The figures of each process."""
        if self.accelerator is None:
            return [figures]
        values = torch.tensor([list(figures.values())], device=self.device, dtype=torch.float32)
        rows: Tensor = self.accelerator.gather(values)  # type: ignore[assignment]
        return [dict(zip(figures, row, strict=True)) for row in rows.tolist()]

    def total(self, values: Tensor) -> Tensor:
        """The sum of all processes' values."""
        return values if self.accelerator is None else self.accelerator.reduce(values, "sum")  # type: ignore[return-value]

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """The first process of each machine does what is inside before the others there: they find its files."""
        with contextlib.nullcontext() if self.accelerator is None else self.accelerator.local_main_process_first():
            yield

    def close(self) -> None:
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()
            self.accelerator.end_training()
