"""`python -m policy.finetune task=pick_at_xy encoder=pixelwise demos=FOLDER`: trains a policy on a few demonstrations.

The streams, the two pre-trained vision transformers, are frozen and their tokens cached, so training takes minutes on a CPU. `unfreeze=true` and the CNNs from
scratch train on pictures. The number of steps is fixed, and the moving average of the last weights is the result: no checkpoint is chosen by its score.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from policy.training.settings import Settings
from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from policy.training.dataset import Demos
    from policy.training.mirror import Mirror


def main(settings: Settings) -> Path:
    """Trains, and returns the checkpoint's folder. Raises BadInput."""
    demos, held_out = check(settings)
    if reason := demos.attrs.get("no_environment"):
        print(f"note: eval.run will not be able to score this policy, since no environment here fits its demonstrations: {reason}", flush=True)
    from policy.training.loop import finetune  # torch: nothing that a file can say waits for it

    return finetune(settings, demos, held_out)


def check(settings: Settings) -> tuple[Demos, Demos | None]:
    """The demonstrations to learn from and those held out, if any.

    Raises BadInput for those that are missing, damaged or of another task, and for streams that do not fit them.
    """
    from policy.encoders import FROM_SCRATCH
    from policy.training.dataset import load_demos
    from policy.training.joint import joined
    from policy.training.late import delayed

    if settings.demos is None:
        made = f"python -m envs.demos.collect task={settings.task[0]} n={settings.num_demos}"
        raise BadInput(f"demos: missing; give demos=FOLDER (make one with {made})")
    if settings.language == "sentence":
        from policy.language import PACKAGE
        from policy.language.located import located

        located(settings.sentence_encoder or PACKAGE)
    check_places(settings)
    reach = settings.chunk + settings.action_latency
    tasks = settings.task if len(settings.task) > 1 else settings.task * len(settings.demos)
    parts, unseen = [], []
    for task, folder in zip(tasks, settings.demos, strict=True):
        failed = settings.change == "future"  # an inverse model learns what actions do, whatever was wanted
        parts.append(load_demos(folder, settings.num_demos, reach, mirror=_mirror(settings, task), failed=failed))
        unseen += [load_demos(folder, settings.held_out, reach, after=parts[-1], failed=failed)] if settings.held_out else []
        if (known := parts[-1].attrs["task"]) != task:
            raise BadInput(f"task={task}: demos={folder} were recorded in task={known}{did_you_mean(task, [known])}")
        if settings.version is not None and str(settings.version) != parts[-1].attrs["task_version"]:
            raise BadInput(f"version={settings.version}: demos={folder} were recorded in version {parts[-1].attrs['task_version']} of {task}")
    demos, held_out = joined(parts, settings.demos), joined(unseen, settings.demos) if unseen else None
    if settings.encoder not in FROM_SCRATCH and settings.streams != "random":
        from policy.storage.stored import default_streams, read_streams

        folder = Path(settings.streams or default_streams())
        if settings.align is not None:
            from policy.training.aligned import streams_of

            folder = streams_of(settings.align, settings.streams)
        needed, found = read_streams(folder)["size"], demos.attrs["size"]
        if needed != found:
            remedy = "draw them again with envs.demos.render" if "origin" not in demos.attrs else f"convert the file they came in again, with size={needed}"
            raise BadInput(f"demos={settings.demos[0]}: pictures of {found} px, the streams need {needed} px; {remedy}")
    if settings.inverse is not None:
        from policy.training.inverse_files import check_inverse

        robot = {"proprio_dim": demos.proprio.shape[-1], "action_dim": demos.chunks.shape[-1]}
        pictures = {"cameras": tuple(demos.attrs["cameras"]), "size": demos.attrs["size"]}
        check_inverse(settings.inverse, pictures | robot | {"chunk": settings.chunk, "ahead": settings.ahead})
    late = settings.latency, settings.action_latency, settings.history
    return delayed(demos, *late), None if held_out is None else delayed(held_out, *late)


def _mirror(settings: Settings, task: str) -> Mirror | None:
    """In which demonstrations are looked at, too. Raises BadInput for a task that would be another one in it."""
    from policy.training.mirror import MIRRORS

    if settings.mirror and task not in MIRRORS:
        raise BadInput(f"mirror=true: task={task} is not known to go the same in a mirror; valid: false or null (tasks that do: {', '.join(MIRRORS)})")
    return None if settings.mirror is False else MIRRORS.get(task)


def check_places(settings: Settings) -> None:
    """Raises BadInput where a policy cannot be written, or the tokens that it is to be trained on; what is there already can be used."""
    from policy.encoders import FROM_SCRATCH

    if (settings.folder / "config.json").exists():
        return
    check_writable("out", settings.folder)
    if settings.encoder not in FROM_SCRATCH and not settings.unfreeze and not any(Path(settings.cache).glob("*/index.json")):
        check_writable("cache", settings.cache)


if __name__ == "__main__":
    command("policy.conf", "finetune", Settings, main)
