"""What methods do about neighbours that are absent."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from desim.algorithms.base import Algorithm


class Absence(Algorithm):
    """A method that waits for neighbours, or goes on without them.

    Attributes:
        absent: what to do about neighbours that don't answer, crashed or slow: "wait", or "skip"
            (go on after timeout_s with those that have answered; an average gives the weights of
            the others to the own model).
        timeout_s: how long to wait for neighbours after one's own part is done; with "skip".
    """

    axis: ClassVar[str] = "algorithms"

    absent: Literal["wait", "skip"] = "wait"
    timeout_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _timeout_fits(self) -> Self:
        if (self.absent == "skip") != (self.timeout_s is not None):
            raise ValueError(
                f"absent = {self.absent!r}, timeout_s = {self.timeout_s}: give a timeout_s with "
                "'skip', and only then"
            )
        return self

    @property
    def skips(self) -> bool:
        """Whether neighbours that don't answer are left out."""
        return self.absent == "skip"
