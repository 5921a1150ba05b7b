"""The one error of the analysis: a `desim.ResultsError` that is a ValueError too."""

from desim import errors


class ResultsError(errors.ResultsError, ValueError):
    """A results folder, or a question about one, that makes no sense.

    Its message states the value, the rule that it breaks and the way out.
    """
