"""A deployed stack: where its parts are according to CloudFormation, and the layer's assembly of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, override

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from calls.operations.calling_policy import Policies
from calls.operations.expiring import LastMoments
from calls.operations.records import Records
from outbound_calls.adapters.organizations import OrganizationMissing
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.messages import invalid_field
from outbound_calls.domain.recipients import organization_key
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.use_cases.look_up import LookUpRequests
from outbound_calls.use_cases.new_attempt import Defaults

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.lines_table import LinesTable
    from outbound_calls.adapters.organizations import Organizations
    from outbound_calls.adapters.outcome_bus import OutcomeBus
    from outbound_calls.adapters.policy_table import NumberHashes, PolicyTable
    from outbound_calls.use_cases.decide import CurrentPolicy, JudgeAttempts


class NoSuchStack(Exception):
    """There is no stack with this name here, or it doesn't belong to this project or version."""


type Clients = Callable[[Any], Any]
"""Makes the AWS client for a service."""


def aws_clients(session: boto3.Session, endpoint_url: str | None = None) -> Clients:
    """Clients with timeouts for a person who waits.

    Region and credentials are the session's. So is the endpoint, unless one is given.
    """
    settings = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})
    return lambda service: session.client(service, endpoint_url=endpoint_url, config=settings)


@dataclass(frozen=True, slots=True)
class Resource:
    """One part of the stack. `id` is its physical id: a name, a URL or an ARN, depending on the type."""

    name: str
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class StackDefaults(Defaults):
    """The defaults of a stack's organizations. It reads the secret only where the stack's parameters say too little."""

    organizations: Callable[[], Organizations] | None = None

    @override
    def of(self, organization: str | None) -> Defaults | None:
        """As `Defaults.of`. None for an organization in a secret that can't be read from here.

        Raises:
            InvalidInput: When the stack has no such organization.
        """
        name = organization_key(organization)
        if self.organizations is None or (name is None and self.assistant_id and self.phone_number_id):
            return self
        try:
            found = self.organizations().named(name)
        except OrganizationMissing:
            raise invalid_field("organization") from None
        except SecretUnusable:
            return self if name is None else None
        return Defaults(found.assistant_id, found.phone_number_id)


@dataclass(frozen=True)
class DeployedStack:
    """The stack, and what is built over its parts."""

    name: str
    arn: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    client: Clients

    @classmethod
    def find(cls, name: str, client: Clients) -> DeployedStack:
        """Look up a stack by its name.

        Raises:
            NoSuchStack: When there is none.
        """
        cloudformation: CloudFormationClient = client("cloudformation")
        try:
            (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            # CloudFormation's code for a stack that does not exist.
            if error.response["Error"].get("Code") == "ValidationError":
                raise NoSuchStack(f"there is no stack {name} in this account and region") from None
            raise
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        if "CallsTableName" not in outputs:
            raise NoSuchStack(f"the stack {name} has no output CallsTableName: another project's, or not complete")
        return cls(
            name=name,
            arn=stack["StackId"],
            status=stack["StackStatus"],
            outputs=outputs,
            parameters={each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])},
            client=client,
        )

    @cached_property
    def resources(self) -> list[Resource]:
        """All parts."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        return [
            Resource(each["LogicalResourceId"], each["ResourceType"], each.get("PhysicalResourceId", ""))
            for page in pages
            for each in page["StackResourceSummaries"]
        ]

    def resource(self, name: str) -> str:
        """The physical id of the part with this logical id.

        Raises:
            NoSuchStack: When there is none: the stack has another version than this command.
        """
        return self._of_this_version({each.name: each.id for each in self.resources}, name)

    def of_type(self, type_: str) -> list[Resource]:
        """The parts of one type, such as ``AWS::CloudWatch::Alarm``."""
        return [each for each in self.resources if each.type == type_]

    @property
    def environment(self) -> str:
        """The parameter `Environment`: local, dev, staging or prod."""
        return self.parameters["Environment"]

    @property
    def is_for_development(self) -> bool:
        """Whether it is for developers."""
        return self.environment in {"local", "dev"}

    @property
    def call_queue_url(self) -> str:
        """The queue for requests."""
        return self.outputs["CallQueueUrl"]

    @property
    def invalid_messages_queue_url(self) -> str:
        """The queue of messages that break the contract."""
        return self.outputs["InvalidMessagesQueueUrl"]

    @property
    def dead_letter_queue_url(self) -> str:
        """The queue of messages that failed five times."""
        return self.outputs["DeadLetterQueueUrl"]

    @property
    def failed_outcomes_queue_url(self) -> str:
        """The queue of outcomes that could not be published."""
        return self.resource("FailedOutcomesQueue")

    @property
    def queues(self) -> dict[str, str]:
        """The URLs of all queues, by the name to show."""
        return {
            "requests": self.call_queue_url,
            "invalid messages": self.invalid_messages_queue_url,
            "dead letters": self.dead_letter_queue_url,
            "failed outcomes": self.failed_outcomes_queue_url,
        }

    @cached_property
    def defaults(self) -> Defaults:
        """What a request gets where it names none of its own."""
        return StackDefaults(*self._default_ids, lambda: self.organizations)

    @property
    def _default_ids(self) -> tuple[str | None, str | None]:
        parameters = self.parameters
        return parameters.get("DefaultAssistantId") or None, parameters.get("DefaultPhoneNumberId") or None

    @cached_property
    def sqs(self) -> Any:
        """A client for the queues."""
        return self.client("sqs")

    @cached_property
    def _dynamodb(self) -> Any:
        return self.client("dynamodb")

    @cached_property
    def _assembly(self) -> Assembly:
        """Builds the parts that the functions use, with the clients of a person who waits."""
        return Assembly(lambda service, *_: self.client(service))

    @cached_property
    def table(self) -> CallsTable:
        """The calls table, as the functions use it."""
        return self._assembly.calls_table(
            self._dynamodb,
            self.outputs["CallsTableName"],
            int(self.parameters["RetentionDays"]),
            int(self.parameters["DueShards"]),
        )

    @cached_property
    def policy_table(self) -> PolicyTable:
        """The policy table, as the functions use it."""
        return self._assembly.policy_table(self._dynamodb, self._policy_table_name)

    @cached_property
    def lines_table(self) -> LinesTable:
        """The lines in use, in the policy table."""
        return self._assembly.lines_table(self._dynamodb, self._policy_table_name)

    @property
    def _policy_table_name(self) -> str:
        return self._of_this_version(self.outputs, "PolicyTableName")

    @property
    def default_preset(self) -> str:
        """The preset of the calling policy where the document names none: the parameter `CallingPolicy`."""
        return self._of_this_version(self.parameters, "CallingPolicy")

    @cached_property
    def policies(self) -> Policies:
        """The calling policy."""
        return Policies(self.policy_table, self.default_preset, ended_reasons=self.records.ended_reasons)

    @cached_property
    def number_hashes(self) -> NumberHashes:
        """The hashes of numbers, by the stack's own key."""
        return self._assembly.number_hashes(self.resource("NumberHashSecret"))

    @cached_property
    def organizations(self) -> Organizations:
        """The organizations in the secret of AlloMia keys. Reading it takes a right of its own."""
        arn = self._of_this_version(self.parameters, "AllomiaApiKeySecretArn")
        return self._assembly.organizations(arn, *self._default_ids)

    def organization_names(self) -> list[str | None]:
        """The default organization (None), those that the policy names, and those in the secret if it may be read.

        Raises:
            NotAllowed: When the policy can't be read.
        """
        names = self.policies.organizations()
        with suppress(SecretUnusable, NoSuchStack):
            names += sorted(filter(None, self.organizations.in_secret().organizations))
        return list(dict.fromkeys(names))

    @cached_property
    def judge(self) -> JudgeAttempts:
        """What policy says for an attempt, as place_call judges it."""
        return self._assembly.judge(self.current_policy, self.policy_table, self.number_hashes)

    @property
    def last_moment(self) -> LastMoments:
        """When requests expire, by the policy in force."""
        return LastMoments(self.current_policy)

    @cached_property
    def current_policy(self) -> CurrentPolicy:
        """The rules in force, as place_call reads them."""
        return self._assembly.current_policy(self.policy_table, self.default_preset)

    @cached_property
    def operator_arn(self) -> str:
        """Who runs the command: the ARN of the AWS credentials."""
        return str(self.client("sts").get_caller_identity()["Arn"])

    @property
    def operator(self) -> str:
        """The same, short: such as `user/alice`."""
        return self.operator_arn.rpartition(":")[2]

    def _of_this_version(self, named: Mapping[str, str], name: str) -> str:
        if name not in named:
            raise NoSuchStack(f"the stack {self.name} has no {name}: does it have the version of this command?")
        return named[name]

    @property
    def outcome_bus(self) -> OutcomeBus:
        """The event bus on which outcomes are published."""
        return self._assembly.outcome_bus(self.outputs["OutcomeBusName"])

    @property
    def records(self) -> Records:
        """Searches in the calls table."""
        return Records(self.table)

    @property
    def requests(self) -> LookUpRequests:
        """The reports of requests."""
        return LookUpRequests(self.table)
