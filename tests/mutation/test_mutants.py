from tests.mutation.mutants import mutants_of


def test_dummy() -> None:
    assert mutants_of("m", "x = 1\n")
