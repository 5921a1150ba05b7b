"""A scenario with any cluster, what is said of a bad one, and a machine and a model's cost."""

from typing import Any

import desim
from desim.tensors.cost import Cost

Table = dict[str, Any]

#: What a gradient costs.
COST = Cost(flops_per_sample=1e6, bytes_per_sample=4e3, bytes_fixed=2e5)

#: At 1 GFLOP/s with efficiency 1/2 and 1 MB/s: 2 ms a sample of computing; 0.2 s and 4 ms a sample
#: of memory traffic.
MACHINE = {"peak_flops_per_s": 1e9, "efficiency": 0.5, "memory_bytes_per_s": 1e6}


def scenario_table(**cluster: Any) -> Table:
    """A scenario of one round, as TOML gives it."""
    return {
        "name": "cluster",
        "seeds": [0],
        "problem": {
            "dataset": {"kind": "quadratic", "samples": 100, "dimension": 4},
            "model": "quadratic",
        },
        "cluster": cluster,
        "network": {
            "topology": "complete",
            "mixing": "metropolis",
            "link": {"kind": "dedicated", "bandwidth_bps": 1e3},
        },
        "stop": {"rounds": 1},
        "evaluate": {"every_rounds": 1},
        "algorithms": [
            {"kind": "dsgd", "batch": 5, "step_size": {"kind": "constant", "alpha": 0.1}}
        ],
    }


def cluster_of(**cluster: Any) -> desim.Cluster:
    """The cluster of such a scenario."""
    return desim.from_table(scenario_table(**cluster)).cluster


def complaint(**cluster: Any) -> str:
    """The one line that is said of a bad cluster."""
    try:
        desim.from_table(scenario_table(**cluster))
    except desim.ScenarioError as error:
        (line,) = str(error).splitlines()
        return line
    raise AssertionError(f"{cluster}: was not refused")
