"""desim: a discrete-event simulator of decentralized training.

    from desim import analysis, desim

    folder = desim.run("quickstart")
    metrics = analysis.load(folder)

`desim.run` takes a name, a file or a `desim.Scenario` built in code, with own modules, losses, data
and algorithms as objects.
"""

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.consensus import Consensus
from desim.algorithms.parts.rounds import Rounds
from desim.algorithms.parts.synchronous import Synchronous
from desim.clock.faults import Faults
from desim.clock.hardware import Hardware
from desim.clock.links.base import Deployment, Link, LinkModel, Wire
from desim.clock.stragglers.base import PerStep, StragglerModel
from desim.engine.outcome import Outcome
from desim.engine.simulation import Simulation
from desim.errors import DesimError, ModelError, ResultsError, ScenarioError, SimulationError
from desim.metrics.base import Metric
from desim.mixings.base import Mixing
from desim.scenario.scenario import Scenario, Trial, from_table, read
from desim.scenario.setting import Cluster, Network, Setting
from desim.scenario.stopping import Evaluate, Stop
from desim.step_sizes.base import StepSize
from desim.stops.base import StopRule
from desim.studies.plan import Plan, plan
from desim.studies.study import Progress, run, simulate
from desim.tensors.compressors.base import Compressor
from desim.tensors.datasets.base import Data, Dataset, Shape
from desim.tensors.losses.base import Loss
from desim.tensors.models.base import Model
from desim.tensors.optimizer import Optimizer
from desim.tensors.partitions.base import Partition
from desim.tensors.problem import Problem
from desim.tensors.wire import Reader, Writer
from desim.topologies.base import Graph, Topology
from desim.tuning.grid import Grid
from desim.tuning.tune import Tuned, Tuning, tune
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

__all__ = [
    "Algorithm",
    "Cluster",
    "Compressor",
    "Consensus",
    "Data",
    "Dataset",
    "Deployment",
    "DesimError",
    "Evaluate",
    "Faults",
    "Graph",
    "Grid",
    "Hardware",
    "Link",
    "LinkModel",
    "Loss",
    "Message",
    "Metric",
    "Mixing",
    "Model",
    "ModelError",
    "Network",
    "Optimizer",
    "Outcome",
    "Partition",
    "PerStep",
    "Plan",
    "Problem",
    "Progress",
    "Reader",
    "ResultsError",
    "Rounds",
    "Scenario",
    "ScenarioError",
    "Setting",
    "Shape",
    "Simulation",
    "SimulationError",
    "StepSize",
    "Stop",
    "StopRule",
    "StragglerModel",
    "Synchronous",
    "Topology",
    "Trial",
    "Tuned",
    "Tuning",
    "Waiting",
    "Wire",
    "Worker",
    "Writer",
    "from_table",
    "plan",
    "read",
    "run",
    "simulate",
    "tune",
]
