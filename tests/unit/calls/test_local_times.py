"""The local time of people who would be rung, as the questions name it."""

from datetime import UTC, datetime

import pytest

from calls.operations.local_times import Recipient, local_times

NOW = datetime(2026, 12, 1, 19, 5, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("recipients", "sentence"),
    [
        ([], ""),
        ([("+14165550123", None)], "Their local time is Tue 14:05."),
        ([("+14165550123", None), ("+12065550123", None)], "Their local time is Tue 11:05 to Tue 14:05."),
        ([("+14165550123", "Asia/Tokyo")], "Their local time is Wed 04:05."),
        ([("+14165550123", "No/Where")], "Their local time is Tue 14:05."),
        ([("+18005550123", None)], "Their local time isn't known."),
        ([("+14165550123", None), ("514", 7), (None, None)], "Their local time is Tue 14:05, and not known for 2."),
    ],
)
def test_a_question_names_the_local_time(recipients: list[Recipient], sentence: str) -> None:
    assert local_times(recipients, NOW) == sentence
