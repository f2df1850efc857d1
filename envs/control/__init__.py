"""The fast control loop: robosuite's physics and control law, several times its speed. Needs robosuite; `import envs` alone does not load this."""

from envs.control.bench import compare, largest_difference, steps_per_second
from envs.control.fast import FastControl

__all__ = ["FastControl", "compare", "largest_difference", "steps_per_second"]
