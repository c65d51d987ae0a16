"""A Ray cluster of several nodes on this machine: `python -m tests.faults.ray_nodes FOLDER NUM_NODES`.

Its environment must hold what `ray_environment` adds. Says `{"address": …, "nodes": {id: pid of its raylet}}`, then the
same again for each line that it reads, after adding a node; ends with its stdin. Each node has one place to draw on and
a data folder of its own.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from pixart_ui.cluster.node import CPU_RESOURCE
from pixart_ui.cluster.ray_port import HEALTH

STORE_BYTES = 80 * 2**20


def main() -> None:
    folder, num_nodes = Path(sys.argv[1]), int(sys.argv[2])
    cluster, nodes = Cluster(shutdown_at_exit=True), list[Any]()

    def add() -> None:
        number = len(nodes)
        own: dict[str, Any] = {} if nodes else {"_system_config": HEALTH, "include_dashboard": False}
        nodes.append(
            cluster.add_node(
                num_cpus=0,
                resources={CPU_RESOURCE: 1},
                object_store_memory=STORE_BYTES,
                env_vars={"PIXART_UI_DATA_DIR": str(folder / f"node-{number}"), "OMP_NUM_THREADS": "1"},
                **own,
            )
        )

    def say() -> None:
        pids = {node.node_id: node.all_processes["raylet"][0].process.pid for node in nodes}
        print(json.dumps({"address": cluster.address, "nodes": pids}), flush=True)

    for _ in range(num_nodes):
        add()
    say()
    for _ in sys.stdin:
        add()
        say()
    # What a raylet started outlives one that is killed.
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    left = [
        child for pid in raylets if psutil.pid_exists(pid) for child in psutil.Process(pid).children(recursive=True)
    ]
    for node in reversed(nodes):
        node.kill_all_processes(check_alive=False, allow_graceful=False)
    for child in left:
        with suppress(psutil.NoSuchProcess):
            child.kill()


if __name__ == "__main__":
    main()
