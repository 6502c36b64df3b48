"""The layer's licences allow what users do with it, and its bill of materials names all of it."""

import jsonschema_rs
import pytest

from tests.tooling.local.test_requirements import LAYER, pins
from tools.sbom import Package, document, packages

ALLOWED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"}
"""May be distributed with the stack, changed or not, under the project's own licence."""

FILE_BY_FILE = {
    # Changed files of it stay under its licence. None is changed.
    "certifi": "MPL-2.0",
}


@pytest.mark.parametrize("package", list(packages()), ids=lambda package: package.name)
def test_the_licence_of_each_package_is_one_that_is_allowed(package: Package) -> None:
    assert set(package.licence.split(" OR ")) & (ALLOWED | {FILE_BY_FILE.get(package.name, "")})


def test_the_bill_names_each_package_of_the_layer_with_its_hashes() -> None:
    components = document()["components"]

    assert {each["name"]: each["version"] for each in components} == pins(LAYER)
    assert all(each["hashes"] for each in components)
    assert len({each["bom-ref"] for each in components}) == len(components)


def test_the_bill_has_the_form_of_cyclonedx() -> None:
    """The parts of its schema that are used here: cyclonedx.org/docs/1.6/json."""
    text = {"type": "string", "minLength": 1}
    component = {
        "type": "object",
        "required": ["type", "name", "version", "purl", "licenses", "hashes"],
        "properties": {
            "type": {"const": "library"},
            "name": text,
            "version": text,
            "purl": {"pattern": "^pkg:pypi/[a-z0-9-]+@[^@]+$"},
            "licenses": {"items": {"required": ["expression"], "properties": {"expression": text}}, "maxItems": 1},
            "hashes": {
                "items": {"properties": {"alg": {"const": "SHA-256"}, "content": {"pattern": "^[0-9a-f]{64}$"}}}
            },
        },
    }
    schema = {
        "required": ["bomFormat", "specVersion", "version", "metadata", "components"],
        "properties": {
            "bomFormat": {"const": "CycloneDX"},
            "specVersion": {"const": "1.6"},
            "components": {"items": component},
        },
    }

    jsonschema_rs.validate(schema, document())
