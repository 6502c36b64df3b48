"""AWS clients as a Lambda function needs them: short timeouts, bounded retries, room for its worker threads."""

from typing import Any

from botocore.config import Config
from botocore.session import Session

# One for all clients, which share what it has read. Not boto3's: importing that brings S3's transfer manager along,
# and a fifth of a cold start.
_session = Session()


def client(service: Any, connections: int = 1, read_timeout: float = 2) -> Any:
    """A client; region, credentials and endpoint as botocore finds them.

    It gives up after four tries, which is within about 10 seconds unless the service may take longer than 2 seconds to
    answer (`read_timeout`).
    """
    return _session.create_client(
        service,
        config=Config(
            connect_timeout=1,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": 4},
            max_pool_connections=connections,
            tcp_keepalive=True,
            # Looking for mistakes in requests that this code alone makes is a tenth of a write's CPU. The tests, which
            # pass clients of their own, do look.
            parameter_validation=False,
        ),
    )
