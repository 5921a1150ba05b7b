"""What a search for step sizes or deadlines amounts to, before it is run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desim.algorithms.base import Algorithm
from desim.clock.fleet import Fleet
from desim.errors import ScenarioError
from desim.metrics.base import Metric
from desim.scenario.scenario import Scenario, prepared
from desim.scenario.stopping import measured
from desim.schema.natives import native
from desim.schema.results import column_name
from desim.streams import Streams
from desim.tuning.grid import Grid
from desim.tuning.objective import Objective

#: Where no range is asked for, step sizes go so many times below and above the scenario's, and
#: deadlines below and above the rule's: half the distance on the logarithmic scale, as they only
#: trade waiting against the noise of a batch.
_STEP_FACTOR, _DEADLINE_FACTOR = 16.0, 4.0

#: What of a method is tried: values by key below its table.
Point = dict[str, float]


@dataclass(frozen=True)
class SearchedMethod:
    """What is searched of one method.

    Attributes:
        place: of the method among the scenario's.
        label: its name.
        parameter: what the number is called.
        key: where it stands below the method's table.
        own: the scenario's value there.
        unit: what a value there is multiplied with to give the number.
        epsilons: where the consensus step stands, and its values; none where it isn't searched.
    """

    place: int
    label: str
    parameter: str
    key: str
    own: float
    unit: float = 1.0
    epsilons: tuple[tuple[str, float], ...] = ()

    def points(self, values: Sequence[float]) -> list[Point]:
        """Values, each with every epsilon."""
        if not self.epsilons:
            return [{self.key: value} for value in values]
        return [{self.key: value, key: e} for value in values for key, e in self.epsilons]


@dataclass(frozen=True)
class Search:
    """A search before it is run.

    Attributes:
        scenario: as it was given.
        tried: the same, stopping where the objective says.
        objective: what is looked for.
        grid: where.
        methods: what is searched of each.
        deadline: whether deadlines are searched.
    """

    scenario: Scenario
    tried: Scenario
    objective: Objective
    grid: Grid
    methods: tuple[SearchedMethod, ...]
    deadline: bool

    @property
    def candidates(self) -> int:
        """How many every method gets, the same for all; a rule outside of the grid comes on top."""
        return self.grid.points * max(1, len(self.methods[0].epsilons)) + 2 * self.grid.refine

    def coarse(self, method: SearchedMethod) -> list[float]:
        """The values of a method's first stage; those of deadlines have the rule among them."""
        grid = self.grid
        if self.deadline and grid.low and grid.high:
            grid = replace(grid, low=grid.low / method.unit, high=grid.high / method.unit)
        values = grid.coarse(method.own, _DEADLINE_FACTOR if self.deadline else _STEP_FACTOR)
        # Four digits may miss the scenario's own value by a little.
        return [method.own if abs(v / method.own - 1) < 1e-3 else v for v in values]

    def __str__(self) -> str:
        what = "deadlines" if self.deadline else "step sizes"
        methods, seeds = len(self.methods), len(self.tried.seeds)
        total = self.candidates * methods * seeds
        return (
            f"{self.objective}: {methods} method{'s' * (methods > 1)} x {self.candidates} {what} "
            f"({self.candidates - 2 * self.grid.refine} on the grid, {2 * self.grid.refine} around "
            f"its best) x {seeds} seed{'s' * (seeds > 1)} = {total} trials"
        )


def prepare_search(
    scenario: Scenario | str | Path,
    *,
    values: dict[str, Any] | None = None,
    seeds: list[int] | None = None,
    target: float | None = None,
    at: float | None = None,
    metric: str | None = None,
    grid: Grid | None = None,
    epsilons: Sequence[float] = (),
    deadline: bool = False,
) -> Search:
    """Checks a search and tells what it amounts to; the arguments are those of `tune`.

    Raises:
        ScenarioError: it breaks a rule.
    """
    scenario = prepared(scenario, values, seeds)
    if scenario.sweep:
        raise ScenarioError(
            f"sweep = {scenario.sweep}: must be empty, each point has a best of its own; "
            "use --set 'sweep={}' and --set for one point"
        )
    target, at = native(target, None), native(at, None)
    tried, objective = _objective(scenario, target, at, metric, deadline=deadline)
    if deadline:
        if len(epsilons):
            raise ScenarioError(
                "--epsilon: can't be searched together with --deadline; use it alone"
            )
        setting = next(scenario.trials()).setting
        fleet = setting.fleet(Streams(setting.seed))
        searched = [
            found
            for i, algorithm in enumerate(scenario.algorithms)
            if (found := _deadline(i, algorithm, fleet))
        ]
        if not searched:
            raise ScenarioError(
                "--deadline: must have an algorithm with a deadline_s, such as quantimed-dsgd, "
                f"and the scenario has {', '.join(a.name for a in scenario.algorithms)}"
            )
    else:
        searched = [_step_size(i, a, epsilons) for i, a in enumerate(scenario.algorithms)]
    made = Search(scenario, tried, objective, grid or Grid(), tuple(searched), deadline)
    for method in made.methods:  # a bad value must not stop the search in the middle
        for point in method.points(made.coarse(method)):
            changed(tried, method, point)
    return made


def _objective(
    scenario: Scenario,
    target: float | None,
    at: float | None,
    metric: str | None,
    *,
    deadline: bool,
) -> tuple[Scenario, Objective]:
    """The scenario that is tried, which measures and stops as the objective needs it."""
    stop, own = scenario.stop, scenario.stop.the_target()
    if target is not None and at is not None:
        raise ScenarioError(f"--target = {target:g}, --at = {at:g}: give one of them")
    chosen = own.metric if own else Metric.parse("train-loss")
    if metric is not None:
        chosen = _metric(scenario, metric)
    aimed = own if own and own.metric == chosen else None
    if chosen.good is None and not aimed:
        raise ScenarioError(
            f"--metric = {chosen.name!r}: neither low nor high values of it are good; choose one "
            "that `desim show` gives a good direction"
        )
    if chosen.clock and not deadline:
        raise ScenarioError(
            f"--metric = {chosen.name!r}: is the same for all step sizes, which don't change a "
            "timeline; choose another, such as train-loss, or search --deadline"
        )
    column, above = chosen.column(), aimed.above if aimed else chosen.good == "high"
    if at is not None:
        if stop.time_s is not None and at > stop.time_s:
            raise ScenarioError(
                f"--at = {at:g}: must be at most stop.time_s = {stop.time_s:g}, in seconds"
            )
        changes: dict[str, Any] = {"stop.target_train_loss": None, "stop.target": None}
        # A step size that lasts as long as the run goes on as if it weren't cut off there.
        for place, algorithm in enumerate(scenario.algorithms):
            within = algorithm.step_size.within(stop.rounds, stop.time_s)
            if within != algorithm.step_size:
                changes[f"algorithms.{place}.step_size"] = within
        tried = _measuring(scenario.with_values(changes | {"stop.time_s": at}), chosen)
        return tried, Objective(column, above, None, f"at {at:g} s")
    if target is None and aimed:
        return scenario, Objective(column, above, aimed.value, "")
    if target is None:
        return _measuring(scenario, chosen), Objective(column, above, None, "at the end")
    table = {"metric": chosen.table(), "value": target, "when": "above" if above else "below"}
    tried = scenario.with_values({"stop.target": table, "stop.target_train_loss": None})
    return tried, Objective(column, above, target, "")


def _metric(scenario: Scenario, name: str) -> Metric:
    """A metric by its kind, column, label or class: one that is measured, or any that there is."""
    for metric in measured(scenario.evaluate, scenario.stop):
        if metric.name == column_name(name):
            return metric
    try:
        return Metric.parse(name if ":" in name else name.replace("_", "-"))
    except ValueError as error:
        raise ScenarioError(f"--metric = {name!r}: {error}") from None


def _measuring(scenario: Scenario, metric: Metric) -> Scenario:
    """The scenario, which measures this, too."""
    if metric in measured(scenario.evaluate, scenario.stop):
        return scenario
    wanted = [*scenario.evaluate.metrics, metric]
    return scenario.with_values({"evaluate.metrics": [one.table() for one in wanted]})


def _step_size(place: int, algorithm: Algorithm, epsilons: Sequence[float]) -> SearchedMethod:
    step_size = algorithm.step_size
    fields = step_size.searched
    values: list[Any] = [step_size] * 2
    for k, field in enumerate(fields[: 2 if len(epsilons) else 1]):
        for part in field.split("."):
            if part not in type(values[k]).model_fields:
                raise ScenarioError(
                    f"algorithms.{place}.step_size = {step_size.table()}: has no {field} to "
                    "search; name its fields in `searched`"
                )
            values[k] = getattr(values[k], part)
    if not isinstance(values[0], int | float) or not values[0] > 0:
        raise ScenarioError(
            f"algorithms.{place}.step_size.{fields[0]} = {values[0]!r}: must be a positive number "
            "to search around"
        )
    return SearchedMethod(
        place,
        algorithm.name,
        fields[0].rpartition(".")[2],
        f"step_size.{fields[0]}",
        values[0],
        epsilons=tuple((f"step_size.{fields[1]}", epsilon) for epsilon in epsilons),
    )


def _deadline(place: int, algorithm: Algorithm, fleet: Fleet) -> SearchedMethod | None:
    deadline_s = getattr(algorithm, "deadline_s", None)
    if deadline_s is not None:
        return SearchedMethod(place, algorithm.name, "T_d", "deadline_s", deadline_s)
    batch = getattr(algorithm, "expected_batch", None)
    if batch is not None:
        if not fleet.proportional:
            raise ScenarioError(
                f"algorithms.{place}.expected_batch = {batch:g}: T_d isn't proportional to it on "
                f"this hardware; give deadline_s = {fleet.deadline_s(batch):.4g} instead"
            )
        seconds_each = fleet.deadline_s(batch) / batch
        return SearchedMethod(place, algorithm.name, "T_d", "expected_batch", batch, seconds_each)
    return None


def changed(scenario: Scenario, method: SearchedMethod, point: Point) -> Scenario:
    """The scenario with a candidate in its place."""
    return scenario.with_values(
        {f"algorithms.{method.place}.{key}": value for key, value in point.items()}
    )
