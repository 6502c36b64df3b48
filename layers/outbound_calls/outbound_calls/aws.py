"""AWS clients as a Lambda function needs them: short timeouts, bounded retries, room for its worker threads."""

from typing import Any

import boto3
from botocore.config import Config


def client(service: Any, connections: int = 1, read_timeout: float = 2) -> Any:
    """A boto3 client; region, credentials and endpoint as boto3 finds them.

    It gives up after four tries, which is within about 10 seconds unless the service may take longer than 2 seconds to
    answer (`read_timeout`).
    """
    return boto3.client(
        service,
        config=Config(
            connect_timeout=1,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": 4},
            max_pool_connections=connections,
            tcp_keepalive=True,
        ),
    )
