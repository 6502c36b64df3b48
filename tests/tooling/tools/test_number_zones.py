import json

from tools.number_zones import FILE, table


def test_the_table_is_what_the_pinned_packages_make() -> None:
    """After an upgrade of phonenumbers or tzdata: python -m tools.number_zones, and review the difference."""
    assert json.loads(FILE.read_text()) == table()
