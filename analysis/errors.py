"""The one error of the analysis.

ValueError
└── ResultsError    a results folder, or a question about it, that cannot be answered
"""


class ResultsError(ValueError):
    """A results folder, or a question about one, that makes no sense.

    Its message states the value, the rule that it breaks and the way out.
    """
