"""System libraries that rendering needs, and the Debian packages that bring them.

    python -m whatwhere.system             names what is missing, one package a line
    python -m whatwhere.system --install   installs it where that is allowed, otherwise names it in one line

Standard library only, any Python ≥ 3.11: `make setup` runs it before there is a virtual environment.
"""

from __future__ import annotations

import ctypes.util
import glob
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig

# what must be there → (the Debian and Ubuntu package, what for)
LIBRARIES: dict[str, tuple[str, str]] = {
    "EGL": ("libegl1", "rendering without a display"),
    "EGL_mesa": ("libegl-mesa0", "rendering without a display or a GPU"),
    "GL": ("libgl1", "rendering; OpenCV"),
    "OSMesa": ("libosmesa6", "rendering where EGL does not work"),
    "gthread-2.0": ("libglib2.0-0", "OpenCV"),
}
DRIVERS = ("/usr/lib/*/dri/*_dri.so", "/usr/lib*/dri/*_dri.so")  # Mesa's software renderer
HEADERS = "evdev, which robosuite's keyboard listener asks for and which has no wheels"


def missing() -> dict[str, str]:
    """Debian package → what it is needed for, for everything that is not here."""
    found = {package: reason for library, (package, reason) in LIBRARIES.items() if not ctypes.util.find_library(library)}
    if not any(glob.glob(pattern) for pattern in DRIVERS):
        found["libgl1-mesa-dri"] = "rendering without a GPU"
    return found


def missing_for_setup() -> dict[str, str]:
    """As `missing`, and what making a virtual environment with this Python needs."""
    found = missing()
    version = f"python3.{sys.version_info.minor}"
    if importlib.util.find_spec("ensurepip") is None:
        found[f"{version}-venv"] = "the virtual environment"
    if not shutil.which("cc") and not shutil.which("gcc"):
        found["gcc"] = HEADERS
    if not os.path.exists("/usr/include/linux/input.h"):
        found["libc6-dev"] = HEADERS
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        found[f"{version}-dev"] = HEADERS
    return found


def install(packages: list[str]) -> bool:
    """Installs Debian packages, as root or with a sudo that asks for no password. False if that is not allowed or fails."""
    apt = shutil.which("apt-get")
    if apt is None:
        return False
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and (shutil.which("sudo") is None or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode):
        return False
    prefix += ["env", "DEBIAN_FRONTEND=noninteractive"]
    subprocess.run([*prefix, apt, "update", "-qq"], stdin=subprocess.DEVNULL, check=False)
    return not subprocess.run([*prefix, apt, "install", "-y", "-qq", "--no-install-recommends", *packages], stdin=subprocess.DEVNULL, check=False).returncode


def main(arguments: list[str]) -> None:
    if arguments not in ([], ["--install"]):
        sys.exit("usage: python -m whatwhere.system [--install]")
    needed = missing_for_setup()
    if not arguments:
        print("\n".join(f"{package}  # {reason}" for package, reason in needed.items()) or "nothing is missing")
    elif needed:
        print(f"system libraries: installing {' '.join(needed)}", flush=True)
        if not install(list(needed)):
            print(f"system libraries: could not be installed from here; please run: apt-get install {' '.join(needed)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
