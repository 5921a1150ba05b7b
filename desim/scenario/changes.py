"""Other values at dotted keys, all made before any rule is checked."""

from typing import Any, NamedTuple

from pydantic import ValidationError

from desim.algorithms.base import Algorithm
from desim.errors import ScenarioError
from desim.schema.explain import explain
from desim.schema.phrases import short, suggest
from desim.schema.registry import Member, Table


class Change(NamedTuple):
    """Another value at a path below some node; `key` is the whole path."""

    path: list[str]
    value: Any
    key: str

    def below(self) -> "Change":
        """The same as seen from one level deeper."""
        return self._replace(path=self.path[1:])


def replaced(node: Any, changes: list[Change]) -> Any:
    """A copy of node with all changes made before any rule is checked.

    Raises:
        ScenarioError: no such key, or a value that breaks its rule.
    """
    for i, change in enumerate(changes):
        if not change.path:
            return replaced(change.value, changes[i + 1 :])
    if not changes:
        return node
    if isinstance(node, tuple):
        chosen = [(_chosen(node, change.path[0], change.key), change) for change in changes]
        return tuple(
            replaced(item, [change.below() for places, change in chosen if i in places])
            for i, item in enumerate(node)
        )
    heads = {change.path[0]: change for change in changes}
    if isinstance(node, Table):
        for change in changes:
            _check_head(node, change)
        old = {name: getattr(node, name) for name in type(node).model_fields}
    elif node is None or isinstance(node, dict):
        old = node or {}
    else:
        _, value, key = changes[0]
        raise ScenarioError(
            f"{key} = {short(value)}: there is nothing below "
            f"{key.removesuffix('.' + '.'.join(changes[0].path))} = {short(node)}; set that"
        )
    new = {
        head: replaced(old.get(head), [c.below() for c in changes if c.path[0] == head])
        for head in heads
    }
    if not isinstance(node, Table):
        return {**old, **new}
    try:
        return type(node).model_validate({name: old[name] for name in node.model_fields_set} | new)
    except ValidationError as error:
        prefix = changes[0].key.split(".")[: -len(changes[0].path)]
        raise ScenarioError("\n".join(explain(error, type(node), ".".join(prefix)))) from None


def _check_head(node: Table, change: Change) -> None:
    (head, *_), value, key = change
    known = list(type(node).model_fields)
    if head in known:
        return
    if head == "kind" and isinstance(node, Member):
        raise ScenarioError(
            f"{key} = {short(value)}: a kind has fields of its own; give the whole table, "
            f"{key.rpartition('.')[0]} = {{kind = ...}}"
        )
    owner = f" of {node.name}" if isinstance(node, Algorithm) else ""
    raise ScenarioError(f"{key} = {short(value)}: unknown key{owner}; {suggest(head, known)}")


def _chosen(items: tuple[Any, ...], head: str, key: str) -> list[int]:
    names = [item.name for item in items if isinstance(item, Algorithm)]
    if head == "*":
        return list(range(len(items)))
    if head in names:
        return [names.index(head)]
    if head.isdecimal() and int(head) < len(items):
        return [int(head)]
    raise ScenarioError(
        f"{key}: {head!r} names none of them; use a place from 0 to {len(items) - 1}"
        f"{''.join(f', {name}' for name in names)} or '*' for all"
    )
