"""Pictures of phases 2 and 3 (spec A8): where the change is, and how well the actions are predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from policy.change import ChangeEncoder
from whatwhere.files import atomic


def draw_change(path: Path, encoder: ChangeEncoder, now: UInt8[np.ndarray, "b h w 3"], later: UInt8[np.ndarray, "b h w 3"]) -> None:
    """Rows: frame t, frame t+k, and how far each fused patch of the pair lies from that of (t, t), where nothing changed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    device = encoder.fusion.positions.device
    frames = [torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (now, later)]
    distance = (encoder(frames[0], frames[1]).placed - encoder(frames[0], frames[0]).placed).norm(dim=-1)  # (b, n)
    maps = distance.reshape(-1, *encoder.grid).cpu().numpy()
    figure, axes = plt.subplots(3, len(now), figsize=(1.6 * len(now), 5.0), squeeze=False)
    for column in range(len(now)):
        axes[0, column].imshow(now[column])
        axes[1, column].imshow(later[column])
        axes[2, column].imshow(now[column])
        axes[2, column].imshow(maps[column], extent=(-0.5, now.shape[2] - 0.5, now.shape[1] - 0.5, -0.5), cmap="inferno", alpha=0.75, vmin=0, vmax=maps.max())
    for row, name in enumerate(("frame t", "frame t+k", "change at each patch")):
        axes[row, 0].set_ylabel(name)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    _save(figure, path)


def draw_actions(path: Path, predicted: Float[Tensor, "b k a"], target: Float[Tensor, "b k a"], count: int = 7) -> None:
    """Predicted against true, a panel for each of the first `count` numbers of an action."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    count = min(count, target.shape[2])
    figure, axes = plt.subplots(1, count, figsize=(1.9 * count, 2.3), squeeze=False)
    names = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    for number, axis in enumerate(axes[0]):
        true, guess = target[..., number].flatten().numpy(), predicted[..., number].flatten().numpy()
        known = ~np.isnan(true)
        axis.plot([-1, 1], [-1, 1], color="0.7", linewidth=1)
        axis.scatter(true[known], guess[known], s=3, alpha=0.3)
        axis.set_title(names[number] if number < len(names) else str(number), fontsize=9)
        axis.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", xlabel="true")
        axis.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("predicted")
    _save(figure, path)


def _save(figure: object, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.tight_layout()  # type: ignore[attr-defined]
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)  # type: ignore[attr-defined]
    plt.close(figure)  # type: ignore[arg-type]
