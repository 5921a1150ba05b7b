"""The public names of desim: what `import desim` offers, loaded when it is first used."""

from . import analysis as analysis
from . import scenarios as scenarios
from .algorithms.base import Algorithm as Algorithm
from .algorithms.parts.averaging import Averaging as Averaging
from .algorithms.parts.consensus import Consensus as Consensus
from .algorithms.parts.deadline import Deadline as Deadline
from .algorithms.parts.rounds import Rounds as Rounds
from .algorithms.parts.synchronous import Synchronous as Synchronous
from .analysis.figures.base import (
    Drawing as Drawing,
)
from .analysis.figures.base import (
    FigureData as FigureData,
)
from .analysis.figures.base import (
    Report as Report,
)
from .analysis.figures.base import (
    ReportFigure as ReportFigure,
)
from .clock.faults import Faults as Faults
from .clock.fleet import Fleet as Fleet
from .clock.hardware import Hardware as Hardware
from .clock.links.base import (
    Deployment as Deployment,
)
from .clock.links.base import (
    Link as Link,
)
from .clock.links.base import (
    LinkModel as LinkModel,
)
from .clock.links.base import (
    TransitTimes as TransitTimes,
)
from .clock.links.base import (
    Wire as Wire,
)
from .clock.stragglers.base import (
    Fittable as Fittable,
)
from .clock.stragglers.base import (
    Law as Law,
)
from .clock.stragglers.base import (
    PerStep as PerStep,
)
from .clock.stragglers.base import (
    Speed as Speed,
)
from .clock.stragglers.base import (
    StragglerModel as StragglerModel,
)
from .engine.outcome import Outcome as Outcome
from .engine.simulation import Simulation as Simulation
from .errors import (
    DesimError as DesimError,
)
from .errors import (
    DesimWarning as DesimWarning,
)
from .errors import (
    ExtensionError as ExtensionError,
)
from .errors import (
    ModelError as ModelError,
)
from .errors import (
    NonFiniteError as NonFiniteError,
)
from .errors import (
    ResultsError as ResultsError,
)
from .errors import (
    ScenarioError as ScenarioError,
)
from .errors import (
    SimulationError as SimulationError,
)
from .metrics.base import Counts as Counts
from .metrics.base import Evaluation as Evaluation
from .metrics.base import Metric as Metric
from .metrics.base import Row as Row
from .mixings.base import Mixing as Mixing
from .mixings.base import Weights as Weights
from .scenario.scenario import (
    Scenario as Scenario,
)
from .scenario.scenario import (
    Trial as Trial,
)
from .scenario.scenario import (
    from_table as from_table,
)
from .scenario.scenario import (
    read as read,
)
from .scenario.setting import Cluster as Cluster
from .scenario.setting import Network as Network
from .scenario.setting import Setting as Setting
from .scenario.stopping import Evaluate as Evaluate
from .scenario.stopping import Stop as Stop
from .schema.results import Column as Column
from .step_sizes._schedule import Schedule as Schedule
from .step_sizes.base import StepSize as StepSize
from .stops.base import StopRule as StopRule
from .streams import Streams as Streams
from .studies.plan import Plan as Plan
from .studies.plan import plan as plan
from .studies.progress import Finished as Finished
from .studies.progress import Progress as Progress
from .studies.study import run as run
from .studies.study import simulate as simulate
from .tensors.compressors.base import Compressor as Compressor
from .tensors.datasets.base import Data as Data
from .tensors.datasets.base import Dataset as Dataset
from .tensors.datasets.base import Shape as Shape
from .tensors.losses.base import Loss as Loss
from .tensors.models.base import Model as Model
from .tensors.optimizer import Optimizer as Optimizer
from .tensors.partitions.base import Partition as Partition
from .tensors.problem import Problem as Problem
from .tensors.received import Received as Received
from .tensors.refs import Ref as Ref
from .tensors.wire import Reader as Reader
from .tensors.wire import Writer as Writer
from .topologies.base import Graph as Graph
from .topologies.base import Topology as Topology
from .tuning.grid import Grid as Grid
from .tuning.objective import Objective as Objective
from .tuning.tune import Tuned as Tuned
from .tuning.tune import Tuning as Tuning
from .tuning.tune import tune as tune
from .worker.message import Message as Message
from .worker.protocol import Waiting as Waiting
from .worker.protocol import Worker as Worker

__version__: str
