"""How many calls in a row AlloMia must not know before the key counts as another organization's."""

from outbound_calls.use_cases.not_found import RUN_CALLS, NotFoundRuns

KEY, OTHER_KEY = "a-key", "another-key"


def test_three_calls_in_a_row_mean_that_the_key_is_anothers() -> None:
    runs = NotFoundRuns()

    assert [runs.add(KEY, call) for call in ("a", "b", "c", "d")] == [False, False, True, True]
    assert RUN_CALLS == 3


def test_the_same_call_counts_once() -> None:
    runs = NotFoundRuns()

    assert [runs.add(KEY, "a") for _ in range(4)] == [False] * 4


def test_each_key_has_its_own_run() -> None:
    runs = NotFoundRuns()

    assert not any([runs.add(KEY, "a"), runs.add(KEY, "b"), runs.add(OTHER_KEY, "c")])


def test_a_call_that_is_known_ends_the_run_of_its_key_alone() -> None:
    runs = NotFoundRuns()
    for call in ("a", "b", "c"):
        runs.add(KEY, call)
        runs.add(OTHER_KEY, call)

    runs.end(KEY)
    runs.end("a-key-without-a-run")

    assert [runs.add(KEY, "a"), runs.add(OTHER_KEY, "a")] == [False, True]


def test_a_run_keeps_no_more_calls_than_it_needs() -> None:
    runs = NotFoundRuns()
    for call in range(9):
        runs.add(KEY, f"call-{call}")

    assert repr(runs).count("call-") == RUN_CALLS
