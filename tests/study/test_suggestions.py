"""What is suggested for a word that isn't known: never a number other than the one written."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desim.schema import profiles
from desim.schema.phrases import suggest
from desim.schema.registry import AXES, index

KNOWN = sorted(
    {*profiles.names("network"), *profiles.names("hardware"), *(k for a in AXES for k in index(a))}
)
DIGITS = [name for name in KNOWN if re.search(r"\d", name)]


def suggested(word: str, known: list[str]) -> str | None:
    text = suggest(word, known)
    found = re.fullmatch(r"did you mean '(.*)'\?", text)
    if found is None:
        assert text == "choose from " + ", ".join(known)
    return found and found[1]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("10-gb", "10-gbe"),
        ("10-GBE", "10-gbe"),
        ("10gbe", "10-gbe"),
        ("2.5gbe", "2.5-gbe"),
        ("40-gbe", None),
        ("1000-gbe", None),
        ("50-gbe", None),
        ("0-gbe", None),
        ("a100-40g", "a100-40gb"),
        ("a100-60gb", None),
        ("cifar100", None),
        ("DSGD", "dsgd"),
        ("metropols", "metropolis"),
        ("", None),
    ],
)
def test_a_slip_is_found_and_another_number_is_not(word: str, meant: str | None) -> None:
    assert suggested(word, KNOWN) == meant


@given(st.sampled_from(DIGITS), st.integers(0, 10**6), st.integers(0, 3))
def test_a_suggestion_never_differs_in_its_digits(name: str, number: int, place: int) -> None:
    spans = list(re.finditer(r"\d+", name))
    span = spans[place % len(spans)]
    word = name[: span.start()] + str(number) + name[span.end() :]
    found = suggested(word, KNOWN)
    assert found is None or re.findall(r"\d+", found) == re.findall(r"\d+", word)


@given(st.text(max_size=200))
def test_any_word_gets_one_line_unless_what_is_known_has_more(word: str) -> None:
    assert "\n" not in suggest(word, KNOWN)


def test_the_digits_of_a_profile_are_its_bandwidth() -> None:
    for name in profiles.names("network"):
        if found := re.fullmatch(r"([\d.]+)-gbe", name):
            nominal_bps = float(found[1]) * 1e9
            assert profiles.read("network", name)["up_bps"] == pytest.approx(0.97 * nominal_bps)
