"""The template as CloudFormation sees it: transformed by SAM, its conditions decided, its parameters filled in."""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from boto3 import Session
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

PROJECT = Path(__file__).parents[3]

type Json = Any
type Template = dict[str, Json]

_LOCAL_FILES = ("CodeUri", "ContentUri", "DefinitionUri")
_NO_VALUE = object()


def read_template() -> Template:
    """template.yaml as it was written, with CloudFormation's short forms (`!Ref`) in their long form."""
    # A copy, because SAM changes what it transforms. Reading takes longer.
    return copy.deepcopy(_written())


@cache
def _written() -> Template:
    template: Template = yaml_parse((PROJECT / "template.yaml").read_text())
    return template


def transform(template: Template, parameters: Mapping[str, str] | None = None) -> Template:
    """The template after the SAM transform. The code's folders become S3 addresses first, as `sam package` does.

    SAM needs the parameters for a few decisions. Everything else is left to CloudFormation.
    """
    for resource in template["Resources"].values():
        properties = resource["Properties"]
        properties.update({key: f"s3://code/{properties[key]}" for key in _LOCAL_FILES if key in properties})
    translator = Translator({}, Parser(), boto_session=Session(region_name="ca-central-1"))
    transformed: Template = translator.translate(template, dict(parameters or {}))
    return transformed


def lint(path: Path, *ignored: str) -> list[str]:
    """What cfn-lint finds wrong with a template, apart from the rules to ignore."""
    # It takes longer to import than all other tests of the template.
    from cfnlint.api import ManualArgs, lint_file  # type: ignore[import-untyped]

    found = lint_file(path, config=ManualArgs(regions=["ca-central-1"], ignore_checks=list(ignored)))
    return [f"{match.rule.id} {match.message}" for match in found]


@dataclass(frozen=True)
class RenderedStack:
    """The transformed template for one set of parameters.

    A value that only a deployment knows is written as in `Fn::Sub`: the ARN of a queue is `${CallQueue.Arn}`. So is a
    parameter without a value and a default.
    """

    template: Template
    parameters: Mapping[str, str]

    @cached_property
    def resources(self) -> dict[str, Template]:
        """The resources that would be created, by logical id."""
        return {
            logical_id: self._fill_in(resource)
            for logical_id, resource in self.template["Resources"].items()
            if "Condition" not in resource or self._holds({"Condition": resource["Condition"]})
        }

    @cached_property
    def outputs(self) -> dict[str, Template]:
        """The stack's outputs, by name."""
        return {name: self._fill_in(output) for name, output in self.template["Outputs"].items()}

    def properties(self, logical_id: str) -> Template:
        """The properties of one resource."""
        properties: Template = self.resources[logical_id]["Properties"]
        return properties

    def variables(self, function: str) -> Template:
        """The environment variables of a function, by its logical id."""
        variables: Template = self.properties(function)["Environment"]["Variables"]
        return variables

    def statements(self, role: str) -> list[Template]:
        """The statements of a role's own policies and of those attached to it."""
        policies = [*self.properties(role)["Policies"]]
        policies += [policy for _, policy in self.of_type("AWS::IAM::Policy") if f"${{{role}}}" in policy["Roles"]]
        return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]

    def event_source(self, function: str) -> Template:
        """The properties of a function's only event source mapping."""
        mappings = (mapping for _, mapping in self.of_type("AWS::Lambda::EventSourceMapping"))
        (mapping,) = (each for each in mappings if each["FunctionName"] == f"${{{function}Aliaslive}}")
        return mapping

    def without_conditions(self) -> Template:
        """The transformed template of this environment, with every condition decided and removed."""
        template = copy.deepcopy(self.template)
        template.pop("Metadata")
        template["Resources"] = {name: self._decide(template["Resources"][name]) for name in self.resources}
        for resource in template["Resources"].values():
            resource.pop("Condition", None)
        return template

    def _decide(self, value: Json) -> Json:
        match value:
            case {"Fn::If": [str(condition), then, otherwise]}:
                return self._decide(then if self._holds({"Condition": condition}) else otherwise)
            case dict():
                return {key: self._decide(each) for key, each in value.items()}
            case list():
                return [self._decide(each) for each in value]
            case _:
                return value

    def of_type(self, kind: str) -> Iterator[tuple[str, Template]]:
        """Logical ids and properties of all resources of a type."""
        for logical_id, resource in self.resources.items():
            if resource["Type"] == kind:
                yield logical_id, resource["Properties"]

    def _fill_in(self, value: Json) -> Json:
        match value:
            case {"Ref": str(name)} if len(value) == 1:
                return _NO_VALUE if name == "AWS::NoValue" else self.parameters.get(name, f"${{{name}}}")
            case {"Fn::GetAtt": [str(logical_id), str(attribute)]}:
                return f"${{{logical_id}.{attribute}}}"
            case {"Fn::GetAtt": str(attribute)}:
                return f"${{{attribute}}}"
            case {"Fn::Sub": str(text)}:
                return self._substitute(text, {})
            case {"Fn::Sub": [str(text), dict(names)]}:
                return self._substitute(text, self._fill_in(names))
            case {"Fn::If": [str(condition), then, otherwise]}:
                return self._fill_in(then if self._holds({"Condition": condition}) else otherwise)
            case {"Fn::Split": [str(separator), text]}:
                filled_in = self._fill_in(text)
                if not filled_in:
                    raise ValueError(f"{text}: the parts of an empty text are not documented")
                return filled_in.split(separator)
            case {"Fn::Select": [index, choices]}:
                # A parameter without a value has no parts.
                parts = self._fill_in(choices)
                return parts[min(int(index), len(parts) - 1)]
            case {"Fn::FindInMap": [str(name), first, second]}:
                return self.template["Mappings"][name][self._fill_in(first)][self._fill_in(second)]
            case dict():
                if any(key.startswith("Fn::") for key in value):
                    raise NotImplementedError(f"{set(value)} in the template is not supported by RenderedStack")
                filled_in = {key: self._fill_in(each) for key, each in value.items()}
                return {key: each for key, each in filled_in.items() if each is not _NO_VALUE}
            case list():
                return [each for each in map(self._fill_in, value) if each is not _NO_VALUE]
            case _:
                return value

    def _substitute(self, text: str, names: Mapping[str, str]) -> str:
        known = {**self.parameters, **names}
        return re.sub(r"\$\{([^}!]+)\}", lambda found: known.get(found[1], found[0]), text)

    def _holds(self, condition: Json) -> bool:
        match condition:
            case {"Condition": str(name)}:
                return self._holds(self.template["Conditions"][name])
            case {"Fn::Not": [negated]}:
                return not self._holds(negated)
            case {"Fn::Equals": [left, right]}:
                return bool(self._fill_in(left) == self._fill_in(right))
            case _:
                raise NotImplementedError(f"{condition} in the template is not supported by RenderedStack")


def render(template: Template, parameters: Mapping[str, str]) -> RenderedStack:
    """The stack of a transformed template, with these parameters and the defaults of the others."""
    defaults = {name: str(each["Default"]) for name, each in template["Parameters"].items() if "Default" in each}
    return RenderedStack(template, {**defaults, **parameters})
