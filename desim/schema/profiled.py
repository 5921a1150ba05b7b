"""Tables whose fields may come from a profile."""

from typing import Any, ClassVar, Self

from pydantic import ValidationError

from desim.schema import profiles
from desim.schema.explain import explain
from desim.schema.phrases import spelled
from desim.schema.registry import NestedError, Table


class Profiled(Table):
    """A table with the numbers of a profile, where it doesn't give its own.

    Attributes:
        profile: the name of one that comes with desim.
        file: one of your own, a TOML file.

    Class attributes:
        profiles_of: which profiles it may name.
        own_only: fields that can't stand in a profile.
    """

    profiles_of: ClassVar[profiles.Kind]
    own_only: ClassVar[tuple[str, ...]] = ("profile", "file")

    profile: str | None = None
    file: str | None = None

    def resolved(self) -> Self:
        """The same without profile and file: their numbers, overridden by those given here.

        Raises:
            ValueError: there is no such profile, or it breaks a rule.
        """
        if self.profile is not None and self.file is not None:
            raise ValueError(f"profile = {self.profile!r}, file = {self.file!r}: give one of them")
        if self.profile is not None:
            source = f"profile = {self.profile!r}"
            base = profiles.read(self.profiles_of, self.profile)
        elif self.file is not None:
            source = f"file = {self.file!r}"
            try:
                base = profiles.read_file(self.file)
            except ValueError as error:
                rule = str(error).removeprefix(f"{spelled(self.file)}: ")
                raise ValueError(f"{source}: {rule}") from None
        else:
            return self
        refused = [key for key in self.own_only if key in base]
        if refused:
            raise ValueError(f"{source}: {refused[0]} can't stand in a profile")
        fields = self.model_fields_set - {"profile", "file"}
        own = {name: getattr(self, name) for name in fields}
        try:
            return self.model_validate(self.merged(base, own))
        except ValidationError as error:
            # What is given here has been checked: it is the source's, or what the two lack.
            first = error.errors()[0]
            why = first.get("ctx", {}).get("error")
            lacking = not first["loc"] and not isinstance(why, NestedError)
            reason = why if lacking else next(explain(error, type(self)))
            raise ValueError(f"{source}: {reason}") from None

    def merged(self, base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
        """A profile's fields and those given here in one table."""
        return base | own
