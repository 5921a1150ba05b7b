"""A broadcast as one interval, where the network has told of each of its messages."""

import pandas as pd


def joined(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a timeline with one `send` for each broadcast.

    Sends of the same worker and step that overlap or touch become one, with the sum of their bits:
    on links that are told apart each message is a send of its own. What is sent again after a
    while stays apart.

    Args:
        rows: from `load_timeline`, or a part of it.
    """
    sends = rows[rows["kind"] == "send"].sort_values(["worker", "step", "start_s"], kind="stable")
    alike = sends.groupby(["worker", "step"])
    until_s = alike["end_s"].cummax()
    # A new one begins where all before it have ended; the first of its group always does.
    gap = ~(sends["start_s"] <= until_s.groupby([sends["worker"], sends["step"]]).shift())
    groups = sends.groupby(gap.cumsum())
    whole = sends[gap].assign(
        end_s=groups["end_s"].max().to_numpy(), bits=groups["bits"].sum().to_numpy()
    )
    return pd.concat([rows[rows["kind"] != "send"], whole])
