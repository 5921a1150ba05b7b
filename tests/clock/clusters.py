"""A scenario with any cluster, and what is said of a bad one."""

from typing import Any

import desim

Table = dict[str, Any]


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
