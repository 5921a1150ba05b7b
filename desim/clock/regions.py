"""Regions of the world, and what lies between them."""

from math import asin, cos, inf, radians, sin, sqrt
from typing import Annotated, Any, Self

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from desim.schema.phrases import short
from desim.schema.registry import NestedError, Table

Latency = Annotated[float, Field(ge=0)]
Bandwidth = Annotated[float, Field(gt=0, allow_inf_nan=True)]

_EARTH_KM = 6371.0


class Regions(Table):
    """Where workers are, and what lies between: either matrices, or places on the globe.

    Attributes:
        names: of the regions.
        placement: the regions of worker 0, 1, ... by name, again from the first after the last;
            left out, all regions in turn.
        round_trip_s: matrix (regions, regions), seconds; a message takes half of it.
        latitude_deg, longitude_deg: instead of it, north and east positive; a message takes base_s
            + distance per_km_s.
        base_s, per_km_s: see there.
        bandwidth_bps: of each directed link, matrix (regions, regions) or one number, bit/s.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    placement: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None = None
    round_trip_s: list[list[Latency]] | None = None
    latitude_deg: list[Annotated[float, Field(ge=-90, le=90)]] | None = None
    longitude_deg: list[Annotated[float, Field(ge=-180, le=180)]] | None = None
    base_s: Latency = 0.0
    per_km_s: Latency = 0.0
    bandwidth_bps: list[list[Bandwidth]] | Bandwidth = inf

    @field_validator("bandwidth_bps", mode="before")
    @classmethod
    def _by_shape(cls, value: object) -> object:
        """Of a list tells what is wrong with it as a matrix only, of all else as a number."""
        shape = list[list[Bandwidth]] if isinstance(value, list) else Bandwidth
        try:
            return TypeAdapter[Any](shape, config=cls.model_config).validate_python(value)
        except ValidationError as error:
            raise NestedError(error.errors(), cls) from None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        n = len(self.names)
        twice = next((name for name in self.names if self.names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"names = {twice!r}: must differ, it stands there twice")
        for key in ("round_trip_s", "bandwidth_bps"):
            rows = getattr(self, key)
            if isinstance(rows, list) and [len(row) for row in rows] != [n] * n:
                raise ValueError(
                    f"{key} = {short(rows)}: must be a matrix of {n} x {n} numbers, one for each "
                    "name both ways"
                )
        places = {key: getattr(self, key) for key in ("latitude_deg", "longitude_deg")}
        given = [key for key, values in places.items() if values is not None]
        if len(given) != (2 if self.round_trip_s is None else 0):
            raise ValueError("needs either round_trip_s, or latitude_deg and longitude_deg")
        for key in given:
            if len(places[key]) != n:
                raise ValueError(
                    f"{key} = {short(places[key])}: must be {n} numbers, one for each name"
                )
        for key in ("base_s", "per_km_s"):
            if not given and getattr(self, key):
                raise ValueError(
                    f"{key} = {getattr(self, key):g}: belongs to latitude_deg and longitude_deg; "
                    "round_trip_s says all"
                )
        if given and not self.per_km_s:
            raise ValueError("per_km_s = 0: must be positive, or distances make no difference")
        for name in self.placement or ():
            if name not in self.names:
                raise ValueError(
                    f"placement = {name!r}: no such region; choose from {', '.join(self.names)}"
                )
        return self

    def of(self, worker: int) -> int:
        """The region of a worker, by its place among the names."""
        if self.placement is None:
            return worker % len(self.names)
        return self.names.index(self.placement[worker % len(self.placement)])

    def between(self, a: int, b: int) -> tuple[float, float]:
        """(latency_s, bandwidth_bps) from a worker in region a to one in region b."""
        rates = self.bandwidth_bps
        rate = rates[a][b] if isinstance(rates, list) else rates
        if self.round_trip_s is not None:
            return self.round_trip_s[a][b] / 2, rate
        return self.base_s + self.per_km_s * self._distance_km(a, b), rate

    def _distance_km(self, a: int, b: int) -> float:
        """Along a great circle, by the haversine formula."""
        assert self.latitude_deg is not None
        assert self.longitude_deg is not None
        north = [radians(self.latitude_deg[k]) for k in (a, b)]
        east = [radians(self.longitude_deg[k]) for k in (a, b)]
        half = sin((north[1] - north[0]) / 2) ** 2
        half += cos(north[0]) * cos(north[1]) * sin((east[1] - east[0]) / 2) ** 2
        return 2 * _EARTH_KM * asin(min(1.0, sqrt(half)))
