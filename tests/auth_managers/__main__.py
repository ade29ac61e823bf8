"""Run the tests of approvals and pages with other auth managers: ``python -m tests.auth_managers``.

In an environment of their own, which has what ``.venv`` has and the auth managers beside it: their dependencies shall not be
those of the package.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".sandbox" / "auth_managers"
WANTED = Path(__file__).with_name("requirements.txt")


def environment() -> Path:
    """The environment's Python; made, or brought up to date, where it is not."""
    python, stamp = HOME / "bin" / "python", HOME / "wanted"
    wanted = f"{(ROOT / 'requirements.txt').read_text()}\n{WANTED.read_text()}\n{sys.prefix}"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"Installing {', '.join(WANTED.read_text().split())} into {HOME.relative_to(ROOT)}", flush=True)
    venv.create(HOME, clear=True, with_pip=True)
    packages = HOME / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (packages / "beside.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pins = HOME / "pins.txt"
    pins.write_text(
        "\n".join(re.findall(r"^([A-Za-z0-9._-]+==[^\s;\\]+)", (ROOT / "requirements.txt").read_text(), re.M))
    )
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(pins), "--requirement", str(WANTED)], check=True)
    stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    sys.exit(
        subprocess.run([environment(), "-m", "pytest", "-q", "tests/auth_managers", *sys.argv[1:]], cwd=ROOT).returncode
    )
