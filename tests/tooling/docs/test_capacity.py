"""The numbers of docs/operate/capacity.md that are this stack's own."""

from outbound_calls.allomia import LONGEST_EXCHANGE_SECONDS
from outbound_calls.poll import SECONDS_TO_POLL
from outbound_calls.workers import WORKERS
from tests.tooling.docs.markdown import read
from tests.tooling.template.rendering import read_template


def test_the_numbers_are_those_of_the_template_and_the_code() -> None:
    text, template = read("docs/operate/capacity.md"), read_template()
    resources, parameters = template["Resources"], template["Parameters"]
    stream = resources["PublishOutcomeFunction"]["Properties"]["Events"]["Outcome"]["Properties"]
    poll = resources["PollCallsFunction"]["Properties"]
    page = resources["Poller"]["Properties"]["DefinitionSubstitutions"]["PageSize"]

    assert WORKERS == 10  # "at most ten times as many"
    assert parameters["DueShards"]["Default"] == 4
    assert parameters["MaxPollsPerSecond"]["Default"] == 100  # "the defaults of 100 and four shards"
    for said in (
        f"default of {parameters['MaxWorkers']['Default']} dials",
        f"`MaxWorkers`: {parameters['MaxWorkers']['Default']} by default",
        f"`MaxWebhooksPerSecond`: {parameters['MaxWebhooksPerSecond']['Default']} by default",
        f"`ParallelizationFactor` {stream['ParallelizationFactor']}, batches of {stream['BatchSize']}",
        f"with {parameters['DueShards']['MaxValue']}, the most, 8,000",
        f"pages of {page} calls",
        f"a poll takes {LONGEST_EXCHANGE_SECONDS:.0f} seconds at most",
        f"less than {SECONDS_TO_POLL:.0f} of its {poll['Timeout']} seconds",
    ):
        assert said in text
