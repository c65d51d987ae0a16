"""One device, one worker: an operating-system lock on a file that is named by the device's own id.

The lock goes with the process, however it ends; the empty file stays. So whoever holds it knows that every other
worker of that device is dead.
"""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pixart_ui.devices import is_processor
from pixart_ui.errors import WorkerError

# All of a Ray cluster, as one page uses it.
CLUSTER_ID = "cluster"


class DeviceTaken(WorkerError):
    """Another worker owns the device of that id."""

    def __init__(self, device_id: str) -> None:
        super().__init__(
            f"Device {device_id} already has a worker, and a device takes one: use that one, or stop it first."
        )
        self.device_id = device_id


def lock_path(device_id: str, data_dir: Path) -> Path:
    """Where the lock of a device is.

    A GPU's memory cannot be shared: its lock is for the whole machine, so it is outside of any data folder. A processor
    can: two data folders may each have workers on it, and only a second one of a slot on the same folder is refused.
    """
    name = re.sub(r"[^A-Za-z0-9-]", "_", device_id)
    if is_processor(device_id) or device_id == CLUSTER_ID:
        return data_dir / f"worker-{name}.lock"
    return _user_folder() / f"{name}.lock"


@contextmanager
def device_lock(device_id: str, data_dir: Path) -> Iterator[None]:
    """Own the device for the length of the block. Raises DeviceTaken at once where another worker does."""
    path = lock_path(device_id, data_dir)
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise DeviceTaken(device_id) from None
    except OSError as error:
        raise WorkerError(
            f"The lock {path} of device {device_id} cannot be taken ({error.strerror}): correct the permissions of "
            "its folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _user_folder() -> Path:
    """A folder of this user in the machine's temporary folder: two people on one machine have two.

    Raises WorkerError where somebody else made it."""
    folder = Path(tempfile.gettempdir()) / f"pixart-ui-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix" and folder.lstat().st_uid != os.getuid():
        raise WorkerError(f"Folder {folder} belongs to another user: ask for it to be removed.")
    return folder
