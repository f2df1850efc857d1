"""What a worker of a cluster does: it starts `python -m eval.cell` and says how that ended. Nothing but texts and a number crosses to it and back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from eval.launching.process import OF_A_SIGNAL, Died, name_of_signal
from whatwhere.errors import Failed
from whatwhere.parent import child_environment

CELL = "eval.cell"


def run_cell(module: str, file: str, folder: str) -> tuple[int, str]:
    """(exit code, last line that was said). The cell ends with this worker."""
    if not Path(file).is_file() or not Path(folder).is_dir():
        return 1, f"{file}: not there on {os.uname().nodename}; all machines of a study need the same folders"
    words = [sys.executable, "-m", module, f"job={file}"]
    done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=child_environment(), check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode, lines[-1].strip() if lines else "no message"


def told(ended: tuple[int, str]) -> str:
    """What was said. Raises Failed, Died."""
    code, last = ended
    if code < 0 or code > OF_A_SIGNAL:
        raise Died(last if code == OF_A_SIGNAL + 9 and last != "no message" else f"killed ({name_of_signal(code)})")
    if code:
        raise Failed(last)
    return last
