"""What is sent, or waited for, without a break as one interval."""

import pandas as pd


def joined(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a timeline with one `send` for messages that leave together or in a row.

    Sends of the same worker and step that overlap or touch become one, with the sum of their bits:
    on links that are told apart each message of a broadcast is a send of its own, and so is each
    one that is meant for a single neighbour. What is sent again after a while stays apart. The same
    goes for waits: who waits for several messages may wake up at each of them.

    Args:
        rows: from `load_timeline`, or a part of it.
    """
    alike = ["worker", "kind", "step"]
    divided = rows["kind"].isin(["send", "wait"])
    parts = rows[divided].sort_values([*alike, "start_s"], kind="stable")
    until_s = parts.groupby(alike, observed=True)["end_s"].cummax()
    before_s = parts.assign(until_s=until_s).groupby(alike, observed=True)["until_s"].shift()
    # A new one begins where all before it have ended; the first of its group always does.
    gap = ~(parts["start_s"] <= before_s)
    groups = parts.groupby(gap.cumsum())
    whole = parts[gap].assign(
        end_s=groups["end_s"].max().to_numpy(), bits=groups["bits"].sum().to_numpy()
    )
    return pd.concat([rows[~divided], whole])
