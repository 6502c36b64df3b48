"""AWS clients as a Lambda function needs them: short timeouts, bounded retries, room for its worker threads."""

import logging
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

TRIES = 4


@dataclass(eq=False, slots=True)
class Clients:
    """Makes AWS clients that share one boto3 session.

    boto3's own default session is shared by the whole process. It keeps the first credentials that it finds, for
    all that follow.
    """

    session: boto3.Session = field(default_factory=boto3.Session)

    def __call__(self, service: Any, connections: int = 1, tries: int = TRIES, read_timeout_seconds: float = 2) -> Any:
        """A client. Region, credentials and endpoint are found as boto3 finds them.

        It gives up after that many tries of at most 3 seconds each, with 1 second between the first two, then 2, then
        4. A service may be given longer to answer (`read_timeout_seconds`).
        """
        # At INFO, Lambda's level, botocore logs at each start where it found its credentials.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        return self.session.client(
            service,
            config=Config(
                connect_timeout=1,
                read_timeout=read_timeout_seconds,
                retries={"mode": "standard", "total_max_attempts": tries},
                max_pool_connections=connections,
                tcp_keepalive=True,
                # Validating requests that this code alone makes is a tenth of a write's CPU. The tests pass in clients
                # that do validate.
                parameter_validation=False,
            ),
        )
