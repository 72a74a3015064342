"""What is confidential is not shown in what a receiver says back."""

import pytest

from notifier.channels.masking import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no such user", "no such user"),
        ("abcdefghijkl", "********"),
        ("sent abcdefghijkl twice: abcdefghijkl.", "sent ******** twice: ********."),
        ("cut off: abcdefghi", "cut off: ********"),
        ("", ""),
    ],
)
def test_masking_finds_values_anywhere_and_those_cut_off_at_the_end(text: str, shown: str) -> None:
    assert masked(text, ["abcdefghijkl", ""]) == shown
