"""docs/operate/calling-policy.md has the fields of the document and the figures of the presets."""

import json

import pytest

from outbound_calls.contracts.policy import MAX_POLICY_BYTES, CallingPolicy, policy_errors
from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.policy.rules import preset_document
from tests.tooling.docs.markdown import PROJECT, code, fences, read, table

PAGE = read("docs/operate/calling-policy.md")
NOT_ADVICE = "This is not legal advice."


def section(preset: str) -> str:
    return PAGE.partition(f"\n### {preset}\n")[2].partition("\n### ")[0]


def test_the_example_is_valid() -> None:
    [example] = fences(PAGE, "json")

    assert policy_errors(example) == []
    assert json.loads(example).keys() == {field.alias for field in CallingPolicy.model_fields.values()}


def test_every_field_is_explained() -> None:
    fields = [f"`{field.alias}`" for field in CallingPolicy.model_fields.values()]

    assert sorted(name for name, _ in table(PAGE, "field", "meaning")) == sorted(fields)
    assert f"at most {MAX_POLICY_BYTES:,} bytes" in PAGE


@pytest.mark.parametrize("preset", Preset)
def test_every_preset_has_a_section_and_a_file(preset: Preset) -> None:
    assert section(preset)
    assert json.loads((PROJECT / "policies" / f"{preset}.json").read_text()) == preset_document(preset)


@pytest.mark.parametrize("preset", [Preset.CANADA, Preset.UNITED_STATES_HEALTH_CARE])
def test_a_preset_names_its_sources_what_it_covers_and_what_is_uncertain(preset: Preset) -> None:
    text = section(preset)

    assert all(source for _, source in table(text, "figure", "source"))
    assert "What it covers:" in text
    assert "Uncertain:" in text
    assert text.strip().endswith(NOT_ADVICE)


def test_the_hours_are_those_of_the_presets() -> None:
    def hours(preset: Preset) -> list[str]:
        windows = preset_document(preset)["callingWindows"]
        return [f"{each['from'].lstrip('0')} to {each['to']}" for each in windows]

    for preset in (Preset.CANADA, Preset.UNITED_STATES_HEALTH_CARE):
        figures = table(section(preset), "figure", "source")[0][0]
        assert all(each in figures for each in hours(preset))
    assert set(code(section(Preset.CANADA))) == {preset_document(Preset.CANADA)["timeZone"], "timeZone"}
