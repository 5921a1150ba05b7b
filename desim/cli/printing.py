"""What `desim check` and `desim show` print."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from desim.schema.registry import Table, type_name

if TYPE_CHECKING:
    from desim.studies.plan import Averaging, MethodPlan, Plan


def print_plan(plan: Plan, console: Console) -> None:
    """Prints what a scenario amounts to."""
    low, mean, high = plan.degrees
    held = f", {plan.samples_per_worker} samples each" if plan.samples_per_worker else ""
    points = f"{plan.points} points x " if plan.points > 1 else ""
    less = f" - {plan.beginnings} that are beginnings of longer ones" if plan.beginnings else ""
    facts = RichTable(show_header=False, box=None)
    rows = {
        plan.name: f"{plan.trials} trials = {points}{len(plan.methods)} methods x "
        f"{plan.seeds} seeds{less}",
        "workers": f"{plan.workers}{held}; E[V] = {plan.mean_speed_sps:g} samples/s",
        "model": f"{plan.parameters:,} parameters",
        "graph": f"connected, {plan.edges:,} {'directed ' if plan.directed else ''}links, degree "
        f"{low} to {high}, mean {mean:.1f}",
        **_averaging(plan.averaging),
    }
    for key, value in rows.items():
        facts.add_row(key, value)
    console.print(facts)
    table = RichTable(box=None)
    table.add_column("method", overflow="fold")
    for column in ("alpha", "epsilon", "message", "its time", "mean round"):
        table.add_column(column, justify="right")
    for method in plan.methods:
        table.add_row(*_method_row(method))
    console.print(table)
    for method in plan.methods:
        for key, value in method.details.items():
            console.print(f" {escape(method.label)}: {key} = {escape(str(value))}")
    rounds = min(method.rounds for method in plan.methods)
    console.print(f" mean round: simulated, {rounds} rounds of the clock alone, first seed")
    for line in _amounts(plan):
        console.print(line, soft_wrap=True)


def _amounts(plan: Plan) -> Iterator[str]:
    """What a trial of each method amounts to, and all of them."""
    for method in plan.methods:
        amount = method.amount
        yield (
            f" {escape(method.label)}: a trial has about {_about(amount.rounds)} rounds, "
            f"{_about(amount.evaluations)} evaluations and {_about(amount.messages)} messages"
        )
    each = plan.trials / len(plan.methods)  # beginnings of longer trials aside
    evaluations, messages = (
        each * sum(getattr(method.amount, key) for method in plan.methods)
        for key in ("evaluations", "messages")
    )
    yield (
        f" in all: {plan.trials:,} trials, about {_about(evaluations)} evaluations and "
        f"{_about(messages)} messages"
    )


def _about(count: float) -> str:
    """A count as it is known: to three digits."""
    if count == inf:
        return "an unknown number of"
    return f"{count:.3g}" if count < 1000 else f"{float(f'{count:.3g}'):,.0f}"


def _averaging(found: Averaging | str) -> dict[str, str]:
    """What is known of W, by what stands before it."""
    if isinstance(found, str):
        return {"W": escape(f"none: {found}")}
    return {
        "W": f"rows sum to 1 within {found.row_sum_error:.1e}, columns within "
        f"{found.column_sum_error:.1e}",
        "": _spectrum(found),
    }


def _spectrum(found: Averaging) -> str:
    if found.spectral_gap is None:
        return "eigenvalues not computed for so many workers"
    if found.eigenvalues is None:
        return f"spectral gap {found.spectral_gap:.4f}"
    second, last = found.eigenvalues
    return f"lambda_2 {second:.4f}, lambda_n {last:.4f}, spectral gap {found.spectral_gap:.4f}"


def _method_row(method: MethodPlan) -> list[str]:
    low, high = method.message_s
    return [
        escape(method.label),
        _span(*method.alpha),
        _span(*method.epsilon),
        f"{method.message_bits:,} bits",
        f"{low:.4g} s" if low == high else f"{low:.4g} to {high:.4g} s",
        f"{method.round_s:.4g} s",
    ]


def _span(begin: float, end: float) -> str:
    return f"{begin:.4g}" if begin == end else f"{begin:.4g} to {end:.4g}"


def print_profile(where: str, name: str, path: Path) -> None:
    """Prints a profile as it stands in its file, with the sources of its numbers."""
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    console.print(f"[bold]{escape(name)}[/bold] ({where})\n")
    console.print(escape(path.read_text(encoding="utf-8")))


def print_member(axis: str, kind: str, cls: type[Table]) -> None:
    """Prints a member's or a table's documentation and its fields."""
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    console.print(f"[bold]{kind}[/bold] ({axis})\n")
    module = inspect.getmodule(cls)
    texts = [inspect.getdoc(module)] if axis != "table" else []
    texts.append(inspect.getdoc(cls))
    for base in cls.__mro__[1:]:  # what a base says of the fields that it adds
        if issubclass(base, Table):
            _, heading, fields = inspect.cleandoc(base.__doc__ or "").partition("\nAttributes:\n")
            texts += [heading.strip() + "\n" + fields] if heading else []
    for text in texts:
        console.print(escape(text or ""), end="\n\n")
    table = RichTable("field", "type", "default", box=None)
    for name, field in cls.model_fields.items():
        default = (
            "required"
            if field.is_required()
            else repr(field.get_default(call_default_factory=True))
        )
        table.add_row(name, escape(type_name(field.annotation, field.metadata)), escape(default))
    console.print(table)
