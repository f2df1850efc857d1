"""`python -m policy.convergence runs=[A,B]`: how many steps pre-training runs took to a given figure, as a table and as curves (spec A4).

Where CLS is joined by a gate, what it lets through of M on video and where nothing moves (α) is drawn, too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput, did_you_mean
from whatwhere.files import atomic, read_rows, write_text
from whatwhere.kinds import InputPath, Length, OutputFolder, Range, Text
from whatwhere.options import options

RISING = ("_db", "_r2", "within", "named", "rank", "alpha")  # parts of the names of figures of which more is better; of all others less is
ALPHA = ("held_out/alpha_cls_video", "held_out/alpha_cls_static")
Curve = dict[int, float]  # {step: value}


@options
class Settings:
    """What `policy/conf/convergence.yaml` describes."""

    runs: Annotated[tuple[InputPath, ...], Length(1, 100)] | None
    figure: Annotated[str, Text("held_out/NAME, probe/NAME or training/NAME", 200, r"(held_out|probe|training)/\w+")]
    reach: Annotated[float, Range(-1e9, 1e9)] | None
    out: OutputFolder

    def __post_init__(self) -> None:
        if self.runs is None:
            raise BadInput("runs: missing; give runs=[A,B], output folders of python -m policy.pretrain")
        for name, curves in read_runs(self.runs).items():
            if self.figure not in curves:
                raise BadInput(f"figure={self.figure}: not among the figures of {name}: {', '.join(sorted(curves))}{did_you_mean(self.figure, curves)}")


def read_runs(folders: tuple[str, ...]) -> dict[str, dict[str, Curve]]:
    """{folder: {`of/figure`: curve}}, without repetitions. Raises BadInput for folders that hold no run."""
    from policy.pretrain.rows import Figures  # with msgspec: not for --help

    found: dict[str, dict[str, Curve]] = {}
    for folder in folders:
        curves: dict[str, Curve] = {}
        for row in read_rows(Path(folder) / "figures.jsonl", Figures):
            for key, value in row.items():
                if key != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                    curves.setdefault(f"{row.get('of', 'training')}/{key}", {})[row["step"]] = float(value)
        if not curves:
            raise BadInput(f"runs={folder}: no figures.jsonl with figures in it; give the out= of python -m policy.pretrain")
        found[folder] = curves
    return found


def rises(figure: str) -> bool:
    """Whether more of it is better."""
    return any(part in figure for part in RISING)


def steps_to(curve: Mapping[int, float], reach: float, rising: bool) -> int | None:
    """The first step at which the curve is at `reach` or better; None if it never is."""
    return next((step for step, value in sorted(curve.items()) if (value >= reach if rising else value <= reach)), None)


def main(settings: Settings) -> None:
    check_writable("out", out := Path(settings.out))
    runs, rising = read_runs(settings.runs or ()), rises(settings.figure)
    best = {name: (max if rising else min)(curves[settings.figure].values()) for name, curves in runs.items()}
    reach = settings.reach if settings.reach is not None else (min if rising else max)(best.values())
    records = []
    for name, curves in runs.items():
        curve = curves[settings.figure]
        steps = steps_to(curve, reach, rising)
        alphas = {key.rpartition("_")[2]: list(curves[key].values())[-1] for key in ALPHA if key in curves}
        records.append({"run": name, "steps_to_reach": steps, "last_step": max(curve), "last": curve[max(curve)], "best": best[name]} | alphas)
        told = "".join(f" · α on {kind} {value:.2f}" for kind, value in alphas.items())
        print(f"{name}: {settings.figure} {reach:.4g} {'never' if steps is None else f'after {steps} steps'} · last {curve[max(curve)]:.4g}{told}")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for record in records for key in record)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(out / "convergence.csv", text.getvalue())
    draw(runs, settings.figure, reach, out / "convergence.png")
    print(f"wrote convergence.csv and convergence.png to {out}")


def draw(runs: Mapping[str, Mapping[str, Curve]], figure: str, reach: float, path: Path) -> None:
    """A line a run; beside it α of those with a gate: solid on video, dashed where nothing moves."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    gated = [name for name, curves in runs.items() if ALPHA[0] in curves]
    picture, axes = plt.subplots(1, 1 + bool(gated), figsize=(5 + 4 * bool(gated), 3.6), squeeze=False, layout="constrained")
    colours = {name: f"C{i}" for i, name in enumerate(runs)}
    for name, curves in runs.items():
        axes[0, 0].plot(*zip(*sorted(curves[figure].items()), strict=True), label=name, color=colours[name])
    axes[0, 0].axhline(reach, color="0.6", lw=1, ls=":")
    axes[0, 0].set_ylabel(figure)
    axes[0, 0].legend(fontsize=7)
    for name in gated:
        for key, style in zip(ALPHA, ("-", "--"), strict=True):
            points = sorted(runs[name].get(key, {}).items())
            if points:
                axes[0, 1].plot(*zip(*points, strict=True), style, color=colours[name], label=f"{name}, {key.rpartition('_')[2]}")
    for axis in axes[0]:
        axis.set_xlabel("steps")
        axis.grid(alpha=0.3)
    if gated:
        axes[0, 1].set_ylabel("α, the share of M in the fused CLS")
        axes[0, 1].set_ylim(0, 1)
        axes[0, 1].legend(fontsize=7)
    with atomic(path) as temporary:
        picture.savefig(temporary, dpi=150, format="png")
    plt.close(picture)


if __name__ == "__main__":
    command("policy.conf", "convergence", Settings, main)
