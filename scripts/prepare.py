"""Makes `.venv`, and for the tests a Chromium, so that `make run` and `make test` need nothing but Python.

    python3 scripts/prepare.py [--dev] [--browser]

Standard library only: nothing is installed when it starts. Stamps in `.venv` hold a hash of the requirement files
and the build of torch; while they match, no installer starts and no network is touched. Every way to fail ends in a
sentence that says what to do.
"""

from __future__ import annotations  # so that an older Python gets as far as the sentence about it

import argparse
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
DIGESTED_FILES = ("requirements.txt", "requirements-dev.txt", "constraints.txt")
OLDEST_PYTHON = (3, 11)
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TORCH_HELP = "https://pytorch.org/get-started/locally/"
DEBIAN_FONTS = Path("/usr/share/fonts/truetype/dejavu")
BROWSER_PACKAGES = ("chromium", "fonts-dejavu-core", "libatomic1")  # the last for Playwright's driver


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare .venv and, for the tests, Chromium.")
    parser.add_argument("--dev", action="store_true", help="also what lint and tests need")
    parser.add_argument("--browser", action="store_true", help="also a Chromium for the browser tests")
    wanted = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python {platform.python_version()} is too old: 3.11 or newer is needed (make PYTHON=python3.11 …).")
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes in one checkout take turns
        prepare_environment(["requirements.txt", "requirements-dev.txt"] if wanted.dev else ["requirements.txt"])
        if wanted.browser:
            prepare_browser()


def prepare_environment(requirement_files: list[str]) -> None:
    digest = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in DIGESTED_FILES)).hexdigest()
    stamps = [VENV / f"prepared-{name}" for name in requirement_files]
    done = stamps[-1].read_text() if stamps[-1].exists() and VENV_PYTHON.exists() else ""
    if done == f"{digest} cuda":
        return
    build = "cuda" if has_nvidia_gpu() else "cpu"  # a GPU that came later counts, one that is away for a day does not
    if done == f"{digest} {build}":
        return

    make_venv()
    say(f"Installing {' and '.join(requirement_files)} into .venv; on an empty machine this takes minutes.")
    prepare_torch(build)
    requirements = [part for name in requirement_files for part in ("-r", str(ROOT / name))]
    if not pip("install", *requirements, "-c", str(ROOT / "constraints.txt")):
        sys.exit("pip could not install the requirements; the lines above say why. Mend that and call make again.")
    if build == "cuda" and not torch_sees_gpu():
        say(f"This build of torch cannot use the NVIDIA GPU; the driver may be too old for it. Others: {TORCH_HELP}")
    for stamp in stamps:
        stamp.write_text(f"{digest} {build}")


def has_nvidia_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None and succeeds("nvidia-smi", "-L", timeout=30)


def make_venv() -> None:
    if succeeds(VENV_PYTHON, "-c", f"import pip, sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"):
        return
    package = f"python3.{sys.version_info.minor}-venv"  # Debian keeps ensurepip apart
    if importlib.util.find_spec("ensurepip") is None and not apt_install(package):
        sys.exit(f"This Python cannot make virtual environments: install them with `apt-get install {package}`.")
    say(f"Making .venv with Python {platform.python_version()}.")
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False).returncode != 0:
        sys.exit(f"`{sys.executable} -m venv {VENV}` failed; the lines above say why.")


def prepare_torch(build: str) -> None:
    """Bring in the CPU build, or take it away, where the default index would give the wrong one.

    On Linux the default index has the CUDA build, several GB; PyTorch's own has the CPU build. A torch that somebody
    put into `.venv`, such as one for another CUDA version, stays: it satisfies the constraint too.
    """
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = next(line.strip() for line in constraints if line.startswith("torch=="))
    installed = "torch==" + output_of(VENV_PYTHON, "-c", "import importlib.metadata as m; print(m.version('torch'))")
    if build == "cuda":
        if installed.endswith("+cpu"):
            pip("uninstall", "--yes", "torch")
        return
    if installed.split("+")[0] == pinned or sys.platform != "linux":
        return
    if index_answers() and pip("install", "--no-deps", "--index-url", TORCH_CPU_INDEX, f"{pinned}+cpu"):
        return
    say("PyTorch's index of CPU builds cannot be reached: torch comes from the default one, perhaps some GB larger.")


def index_answers() -> bool:
    probe = f"import urllib.request; urllib.request.urlopen('{TORCH_CPU_INDEX}/torch/', timeout=5).close()"
    return succeeds(sys.executable, "-c", probe, timeout=5)  # the outer limit covers a slow name server as well


def torch_sees_gpu() -> bool:
    return succeeds(VENV_PYTHON, "-c", "import torch, sys; sys.exit(not torch.cuda.is_available())")


def prepare_browser() -> None:
    has_chromium = shutil.which("chromium") is not None
    if (has_chromium and DEBIAN_FONTS.exists() and has_library("libatomic.so.1")) or playwright_has_chromium():
        return
    if apt_prefix() is not None:
        say(f"Installing {', '.join(BROWSER_PACKAGES)} for the browser tests.")
        if apt_install(*BROWSER_PACKAGES):
            return
    if has_chromium:
        return
    with_libraries = ["--with-deps"] if apt_prefix() is not None else []
    own_build = [str(VENV_PYTHON), "-m", "playwright", "install", *with_libraries, "chromium"]
    if subprocess.run(own_build, check=False).returncode != 0:
        sys.exit("No Chromium for the browser tests: install your system's package `chromium` and call make again.")


def has_library(name: str) -> bool:
    return succeeds(sys.executable, "-c", f"import ctypes; ctypes.CDLL('{name}')")


def playwright_has_chromium() -> bool:
    ask = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
    return Path(output_of(VENV_PYTHON, "-c", ask) or "/nowhere").exists()


def apt_prefix() -> list[str] | None:
    """What to put before apt-get, or None where it cannot be used without asking."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["env"]
    return ["sudo", "-n", "env"] if shutil.which("sudo") and succeeds("sudo", "-n", "true") else None


def apt_install(*packages: str) -> bool:
    prefix = apt_prefix()
    if prefix is None:
        return False
    apt = [*prefix, "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    subprocess.run([*apt, "update"], check=False)
    install = [*apt, "-o", "Dpkg::Use-Pty=0", "install", "--yes", "--no-install-recommends", *packages]
    return subprocess.run(install, stdout=subprocess.DEVNULL, check=False).returncode == 0


def pip(*arguments: str) -> bool:
    quiet = [] if sys.stdout.isatty() else ["-qq"]  # a person sees the progress, a log only errors
    command = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", *quiet, *arguments]
    return subprocess.run(command, check=False).returncode == 0


def succeeds(*command: str | Path, timeout: float | None = None) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    main()
