"""A Ray cluster of several node processes on this machine, told by lines: ``add`` a node, ``kill`` one.

Run as a module. It answers each line by one: the head's address first, then how many nodes there are.
"""

from __future__ import annotations

import os
import sys
from typing import Any

STORE_BYTES = 100 << 20


def main() -> None:
    """Start a head without cores and two nodes of one core each, and do what is asked."""
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    from ray.cluster_utils import Cluster

    sizes: dict[str, Any] = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **sizes})
    nodes = [cluster.add_node(num_cpus=1, wait=True, object_store_memory=STORE_BYTES) for _ in range(2)]
    try:
        print(cluster.address, file=told, flush=True)
        for line in sys.stdin:
            if line.strip() == "add":
                nodes.append(cluster.add_node(num_cpus=1, wait=True, object_store_memory=STORE_BYTES))
            elif line.strip() == "kill":
                cluster.remove_node(nodes.pop(0), allow_graceful=False)
            print(len(nodes), file=told, flush=True)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
