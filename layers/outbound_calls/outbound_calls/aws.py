"""AWS clients as a Lambda function needs them: short timeouts, bounded retries, room for its worker threads."""

from typing import Any

import boto3
from botocore.config import Config


def client(service: Any, connections: int = 1) -> Any:
    """A boto3 client that gives up within about 10 seconds; region, credentials and endpoint as boto3 finds them."""
    return boto3.client(
        service,
        config=Config(
            connect_timeout=1,
            read_timeout=2,
            retries={"mode": "standard", "total_max_attempts": 4},
            max_pool_connections=connections,
            tcp_keepalive=True,
        ),
    )
