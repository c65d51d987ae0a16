"""Makes three pictures through the HTTP API: submits the prompts, waits until they are done, saves the files.

    python examples/api_client.py                                   # a server on this machine
    python examples/api_client.py http://192.168.1.20:7860 --folder pictures

It needs `gradio_client` alone (`pip install gradio_client`), which comes with Gradio.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from gradio_client import Client

PROMPTS = (
    "a red circle above a blue square at sunset",
    "a green tree left of a small yellow house",
    "a purple boat below an orange sun",
)
ENDS = {"done", "failed", "cancelled"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", nargs="?", default="http://127.0.0.1:7860", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("pictures"), help="where to save them (default: pictures)")
    parser.add_argument("--steps", type=int, help="default: the checkpoint's own number")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    client = Client(arguments.server, verbose=False)

    ids = []
    for prompt in PROMPTS:  # each is in the queue when `submit` returns: closing this program loses none
        ids += client.predict(prompt=prompt, steps=arguments.steps, api_name="/submit")

    has_failed = False
    waiting = set(ids)
    while waiting:
        time.sleep(0.5)
        for job in client.predict(sorted(waiting), api_name="/status"):
            if job["state"] not in ENDS:
                continue
            waiting.remove(job["id"])
            if job["state"] == "done":
                picture = client.predict(job["id"], api_name="/result")
                print(shutil.copy(picture, arguments.folder))
            else:
                has_failed = True
                print(f"job {job['id']} {job['state']}: {job['error']}", file=sys.stderr)
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
