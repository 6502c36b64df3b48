"""Read what is known of a call: one GET, signed with your AWS credentials.

python examples/read_call.py STATUS_API_URL REQUEST_ID
"""

import json
import sys
from typing import Any

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError


def read_call(status_api_url: str, request_id: str) -> dict[str, Any] | None:
    """The report of a request; None when there is no record of it: not yet, or not any more."""
    session = boto3.Session()
    if (credentials := session.get_credentials()) is None:
        raise NoCredentialsError
    url = f"{status_api_url}/{request_id}"
    request = AWSRequest("GET", url)
    SigV4Auth(credentials, "execute-api", session.region_name).add_auth(request)
    answer = urllib3.request("GET", url, headers=dict(request.headers))
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.data.decode()}")
    report: dict[str, Any] = answer.json()
    return report


if __name__ == "__main__":
    print(json.dumps(read_call(*sys.argv[1:]), indent=2))
