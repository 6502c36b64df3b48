"""docs/contribute/tests.md says where every test is, and what the second engine was compared with."""

import json

from tests.tooling.docs.markdown import PROJECT, read, table
from tests.tooling.local.test_requirements import pins


def test_every_folder_of_tests_has_its_row() -> None:
    rows = {row[0].strip("`") for row in table(read("docs/contribute/tests.md"), "folder", "tests", "needs")}
    folders = {path.parent.relative_to(PROJECT) for path in (PROJECT / "tests").rglob("test_*.py")}

    assert {str(path) for path in folders if not any(path.is_relative_to(row) for row in rows)} == set()


def test_the_second_engine_was_run_with_todays_versions() -> None:
    (row,) = table(read("docs/contribute/tests.md"), "local cloud", "dynalite")
    package = json.loads(read("tests/second_engine/package.json"))
    lock = json.loads(read("tests/second_engine/package-lock.json"))

    assert row[0] == pins("local/requirements.txt")["ministack"], "run: make second-engine"
    assert row[1] == package["dependencies"]["dynalite"] == lock["packages"]["node_modules/dynalite"]["version"]
    assert row[4] == "0"


def test_the_second_engine_is_pinned_with_hashes_and_comes_from_no_named_place() -> None:
    lock = json.loads(read("tests/second_engine/package-lock.json"))
    packages = {name: each for name, each in lock["packages"].items() if name}

    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert not [name for name, each in packages.items() if "resolved" in each]
