"""What `envs.demos.collect` does when a person acts, or what stands for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.demos import journal
from envs.demos.collect_settings import Settings
from envs.demos.starts import Starts
from envs.teleop import device_class
from whatwhere.errors import BadInput

if TYPE_CHECKING:
    from envs.teleop.device import Device

PATIENCE = 8  # times a task's own horizon is what people get, unless `horizon` says otherwise


def make_device(settings: Settings) -> Device:
    """What `source` names. Imports no simulator. Raises BadInput where it cannot work here."""
    if settings.num_workers != 1:
        raise BadInput(f"num_workers={settings.num_workers}: source={settings.source} plays one episode at a time")
    if settings.commands is not None and settings.source != "file":
        raise BadInput(f"commands={settings.commands}: only source=file plays commands")
    options = {"browser": ("host", "port", "allow_hosts"), "file": ("commands",)}.get(settings.source, ())
    return device_class(settings.source)(**{name: getattr(settings, name) for name in options})


def teleoperate(settings: Settings, starts: Starts, device: Device) -> None:
    """Lets `device` play the starts that are still wanted. Raises BadInput."""
    from envs.teleop.take import JOURNAL

    found = journal.read(starts.folder / JOURNAL)
    if settings.recover == "ask" and not device.asks and found is not None and found[1]:
        raise BadInput(f"out={starts.folder}: holds an unfinished episode; give recover=true to go on with it or recover=false to drop it")
    import envs
    from envs.teleop.session import Session

    env = envs.make(settings.task, **settings.environment)
    try:
        if settings.horizon is None:
            env.horizon *= PATIENCE
        device.open(env)
        options = {name: getattr(settings, name) for name in ("n", "seed", "idle", "view", "recover")}
        attrs = {"source": settings.source, "noise": 0.0, "recorded_actions": "what the operator commanded and the simulator was sent"}
        Session(env, device, starts, attrs=attrs, say=lambda line: print(line, flush=True), **options).run()
    finally:
        device.close()
        env.close()
