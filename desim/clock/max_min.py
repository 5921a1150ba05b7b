"""Max-min fair sharing: flows as fluids that share links.

A flow occupies its source's up link, its target's down link and, where there is one, a medium
that all flows share; a cap of its own may hold it back. Progressive filling gives the rates
(Bertsekas and Gallager, Data Networks, 2nd ed., 1992, section 6.5.2): all rates rise together;
when a link is full, the flows on it stay at that rate; the others go on. The outcome is the only
allocation in which every flow is at its cap or on a full link that carries none faster.
"""

from collections.abc import Sequence
from math import inf
from typing import Generic, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Flow = TypeVar("Flow")
Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Relative: links whose shares are this close fill together, whatever rounding has done to them.
_TIE = 1e-12
# A flow has ended when this part of its size, or of the time of day, is all that is left.
_LAST_BITS = 1e-12
_LAST_INSTANT = 1e-15
# Flows this close below the slowest change may be level with it but for rounding.
_LEVEL = 1e-9
# Where new flows use more links than this, computing all rates costs less than looking at each.
_FEW_LINKS = 8


class MaxMin(Generic[Flow]):
    """Flows that share senders' up links and receivers' down links max-min fairly.

    Time starts at 0 and moves with advance(); flows are added at the present time.

    Args:
        up_bps: each host's up link, bit/s; inf for one that never fills.
        down_bps: each host's down link, likewise.
        shared_bps: a medium that all flows use, bit/s; inf for none.

    Raises:
        ValueError: for a bandwidth that is not positive.
    """

    def __init__(
        self, up_bps: Sequence[float], down_bps: Sequence[float], shared_bps: float = inf
    ) -> None:
        medium = [shared_bps] if shared_bps != inf else []
        self._bandwidths_bps = [float(bps) for bps in (*up_bps, *down_bps, *medium)]
        for bps in self._bandwidths_bps:
            if not bps > 0:
                raise ValueError(f"bandwidth {bps:g} bit/s: must be positive; inf for no limit")
        self._capacity_bps = np.array(self._bandwidths_bps)
        self._n_up, self._n_down = len(up_bps), len(down_bps)
        # A flow that takes time is a row; the first len(self._flows) are in use. Serials keep the
        # order of adding, since the last row moves into the place of one that ends.
        self._serial = 0
        self._flows: list[tuple[int, Flow]] = []
        self._at_once: list[tuple[int, Flow]] = []
        self._links = np.empty((2 + len(medium), 0), np.intp)
        self._columns = np.empty((7, 0))
        self._grow(16)
        self._now_s = 0.0
        # Changes since the rates were computed: the rows from _n_rated on are new, and the slowest
        # flow that has gone had _gone_bps.
        self._n_rated = 0
        self._gone_bps = inf
        self._next_finish_s = self._next_nearly_s = inf

    def add(
        self, flow: Flow, source: int, target: int, size_bits: float, cap_bps: float = inf
    ) -> None:
        """Starts a flow now.

        Args:
            flow: what advance() returns when the last bit has gone.
            source: the host whose up link it occupies.
            target: the host whose down link it occupies.
            size_bits: what it carries; a flow of 0 bits, or one that nothing limits, ends at once.
            cap_bps: the rate that it cannot exceed; inf for none.

        Raises:
            ValueError: for an unknown host, a negative size or a cap that is not positive.
        """
        if not (0 <= source < self._n_up and 0 <= target < self._n_down):
            raise ValueError(
                f"source = {source}, target = {target}: there are {self._n_up} up links and "
                f"{self._n_down} down links, counted from 0"
            )
        if not (0 <= size_bits < inf and cap_bps > 0):
            raise ValueError(
                f"size_bits = {size_bits:g}, cap_bps = {cap_bps:g}: the size must be finite and "
                "not negative, the cap positive; inf for no cap"
            )
        self._serial += 1
        # A medium, if there is one, comes after the up and the down links.
        links = (source, self._n_up + target, self._n_up + self._n_down)[: len(self._links)]
        if size_bits == 0 or inf == min(cap_bps, *(self._bandwidths_bps[link] for link in links)):
            self._at_once.append((self._serial, flow))
            return
        row = len(self._flows)
        if row == self._links.shape[1]:
            self._grow(2 * row)
        self._flows.append((self._serial, flow))
        self._links[:, row] = links
        self._columns[:, row] = (0.0, size_bits, self._now_s, size_bits, cap_bps, inf, inf)

    def advance(self, now_s: float) -> list[Flow]:
        """Moves all flows on to now_s, and takes out those whose last bit has gone by then.

        Returns:
            The flows that have ended, the first to end first; those that end together in the
            order in which they were added.

        Raises:
            ValueError: if now_s is in the past.
        """
        if not now_s >= self._now_s:
            raise ValueError(f"now_s = {now_s!r}: must not be before {self._now_s!r}, the present")
        ended: list[Flow] = []
        while (finish_s := self.next_finish_s()) <= now_s or self._next_nearly_s <= now_s:
            self._now_s = min(now_s, finish_s)
            ended += self._end()
        self._now_s = now_s
        return ended

    def next_finish_s(self) -> float:
        """When the next flow ends if none is added before; inf if there is none."""
        if self._n_rated < len(self._flows) or self._gone_bps < inf:
            self._share()
        return self._now_s if self._at_once else max(self._now_s, self._next_finish_s)

    def _end(self) -> list[Flow]:
        """Takes out the flows that have ended by now."""
        ended, self._at_once = self._at_once, []
        rows = np.flatnonzero(self._nearly_s[: len(self._flows)] <= self._now_s)
        self._gone_bps = float(self._rate_bps.take(rows).min(initial=inf))
        for row in rows[::-1].tolist():
            ended.append(self._flows[row])
            last = self._flows.pop()
            if row < len(self._flows):
                self._flows[row] = last
                self._links[:, row] = self._links[:, len(self._flows)]
                self._columns[:, row] = self._columns[:, len(self._flows)]
        self._n_rated = len(self._flows)
        return [flow for _, flow in sorted(ended, key=lambda numbered: numbered[0])]

    def _share(self) -> None:
        """Computes the rates from now on, and when each flow ends at its rate.

        A flow's bits are brought up to date only when its rate may change, which spares the
        others the rounding.
        """
        n = len(self._flows)
        links, rate_bps = self._links[:, :n], self._rate_bps[:n]
        stays = (rate_bps > 0) & (rate_bps < (1 - _LEVEL) * self._lowest_change_bps())
        kept, rows = np.flatnonzero(stays), np.flatnonzero(~stays)
        kept_bps = _sums(links.take(kept, axis=1), rate_bps.take(kept), len(self._capacity_bps))
        new_bps = fair_rates(
            links.take(rows, axis=1), self._cap_bps.take(rows), self._capacity_bps - kept_bps
        )
        gone_bits = rate_bps.take(rows) * (self._now_s - self._since_s.take(rows))
        bits = np.maximum(self._bits.take(rows) - gone_bits, 0.0)
        finish_s = self._now_s + bits / new_bps
        last_s = _LAST_BITS * self._size_bits.take(rows) / new_bps + _LAST_INSTANT * finish_s
        self._rate_bps[rows] = new_bps
        self._bits[rows] = bits
        self._since_s[rows] = self._now_s
        self._finish_s[rows] = finish_s
        self._nearly_s[rows] = finish_s - last_s
        self._n_rated, self._gone_bps = n, inf
        self._next_finish_s = float(self._finish_s[:n].min(initial=inf))
        self._next_nearly_s = float(self._nearly_s[:n].min(initial=inf))

    def _lowest_change_bps(self) -> float:
        """No rate below this one differs from what it was before the changes.

        Filling goes as it did until it comes to the slowest flow that has gone, or until a cap or
        a link of a new flow is full. On a link of n flows, of which those that were there before
        rise to r_1 <= r_2 <= ... at most, that is at the greatest of
        (capacity - r_1 - ... - r_j) / (n - j) over j.
        """
        n = len(self._flows)
        new = slice(self._n_rated, n)
        lowest = min(self._gone_bps, float(self._cap_bps[new].min(initial=inf)))
        touched = [
            (k, link) for k in range(len(self._links)) for link in set(self._links[k, new].tolist())
        ]
        if len(touched) > _FEW_LINKS:
            return 0.0
        for k, link in touched:
            on_it = np.flatnonzero(self._links[k, :n] == link)
            old = np.sort(self._rate_bps.take(on_it[on_it < self._n_rated]))
            spent = np.concatenate(((0.0,), np.cumsum(old)))
            shares = (self._capacity_bps[link] - spent) / (on_it.size - np.arange(spent.size))
            lowest = min(lowest, float(shares.max()))
        return lowest

    def _grow(self, n_rows: int) -> None:
        """Makes room for n_rows flows."""
        more = ((0, 0), (0, n_rows - self._links.shape[1]))
        self._links, self._columns = np.pad(self._links, more), np.pad(self._columns, more)
        (
            self._rate_bps,
            self._bits,  # left to go at _since_s
            self._since_s,
            self._size_bits,
            self._cap_bps,
            self._finish_s,
            self._nearly_s,  # from here on it counts as ended
        ) = self._columns


def fair_rates(links: Ints, cap_bps: Floats, capacity_bps: Floats) -> Floats:
    """The max-min fair rates of flows on links.

    A link whose share (what is left of it, over its waiting flows) is the least that each of its
    flows meets will fill at that share, wherever other links stand, since shares only grow. So
    each round fills all such links at once, which takes far fewer rounds than level by level.

    Args:
        links: (links per flow, n flows), the links that each flow occupies; at least one of them
            or the flow's cap must be finite.
        cap_bps: (n flows,), the rate that each flow cannot exceed; inf for none.
        capacity_bps: (n links,), inf for a link that never fills.

    Returns:
        (n flows,), bit/s.
    """
    n_flows = cap_bps.size
    if cap_bps.min(initial=inf) < inf:
        # A cap is a link that the flow has to itself.
        links = np.vstack((links, np.arange(capacity_bps.size, capacity_bps.size + n_flows)))
        capacity_bps = np.concatenate((capacity_bps, cap_bps))
    rate_bps = np.empty(n_flows)
    waiting = np.arange(n_flows)
    left_bps = capacity_bps.copy()
    with np.errstate(divide="ignore", invalid="ignore"):  # the shares of links that no flow uses
        while waiting.size:
            count = np.bincount(links.ravel(), minlength=left_bps.size)
            shares = (left_bps / count).take(links)
            least = np.minimum.reduce(shares)
            is_open = np.zeros(left_bps.size, bool)
            is_open[links[shares > least * (1 + _TIE)]] = True
            goes_on = np.logical_and.reduce(is_open.take(links))
            stop, on = (~goes_on).nonzero()[0], goes_on.nonzero()[0]
            rate_bps[waiting.take(stop)] = least.take(stop)
            left_bps -= _sums(links.take(stop, axis=1), least.take(stop), left_bps.size)
            waiting, links = waiting.take(on), links.take(on, axis=1)
    return rate_bps


def _sums(links: Ints, rate_bps: Floats, n_links: int) -> Floats:
    """(n_links,), the sum of the rates on each link."""
    sums = np.bincount(links.ravel(), np.concatenate((rate_bps,) * len(links)), n_links)
    return cast(Floats, sums)  # NumPy's own annotation leaves out the weights
