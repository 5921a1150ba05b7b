"""Every error that desim raises on purpose.

    DesimError
    ├── ScenarioError      the scenario breaks a rule; the message names key, value and rule
    ├── ResultsError       a results folder that can't be used; the analysis's is a ValueError too
    ├── ModelError         a module that can't be trained, or not by many workers at once
    ├── ExtensionError     a class or function of the user's own that raised; __cause__ is what
    └── SimulationError    a simulation that can't go on (workers waiting for each other forever)
        └── NonFiniteError a message that isn't finite: training has diverged

    DesimWarning           what doesn't stop a run, but is worth a line

The command line prints a DesimError as one line and ends with exit code 2.
"""

import inspect
import warnings
from os import sep
from pathlib import Path

_DESIM = f"{Path(__file__).parent}{sep}"


class DesimError(Exception):
    """Base of desim's own errors; its text is one line for the user."""


class ScenarioError(DesimError):
    """A scenario that breaks a rule."""


class ResultsError(DesimError):
    """A results folder that can't be read, written or continued."""


class ModelError(DesimError):
    """A module that can't be trained, or not by many workers at once."""


class ExtensionError(DesimError):
    """A mistake in a class or function of the user's own; its `__cause__` has the traceback."""


class SimulationError(DesimError):
    """A simulation that can't go on."""


class DesimWarning(UserWarning):
    """What doesn't stop a run; its text is one line for the user."""


def warn(text: str) -> None:
    """Gives a DesimWarning at the line that called desim, rather than at one of desim's own."""
    frame, level = inspect.currentframe(), 1
    # As `skip_file_prefixes` does from Python 3.12 on.
    while frame is not None and frame.f_code.co_filename.startswith(_DESIM):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, DesimWarning, stacklevel=level)


class NonFiniteError(SimulationError):
    """A message with nan or infinity in it, which no compressor sends.

    Attributes:
        worker, step: whose message, and which of its messages, from 0.
    """

    def __init__(self, text: str, worker: int, step: int) -> None:
        super().__init__(text)
        self.worker, self.step = worker, step

    def __reduce__(self) -> tuple[type, tuple[str, int, int]]:
        return type(self), (str(self), self.worker, self.step)
