"""Where the cells of a study run: on this machine, on a Ray cluster, or as jobs of Slurm. Each way in a file; what is not asked for is not imported.

A launcher is a context manager; `run(job)` has a thread of the study to itself, returns the last line that the cell printed, and raises Failed or Died;
`end()` lets everything that runs end soon.
"""

LAUNCHERS = {"local": "eval.launching.local:Local", "ray": "eval.launching.on_ray:OnRay", "slurm": "eval.launching.on_slurm:OnSlurm"}
NEEDS = {"ray": "ray", "slurm": "submitit"}  # the package of each; the extra has the launcher's name
