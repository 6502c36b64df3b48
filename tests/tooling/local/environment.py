"""The environment variables of a deployed stack's functions, for running them without one."""

from typing import Final

ARN: Final = "arn:aws:secretsmanager:ca-central-1:123456789012:secret"
UNUSED_URL: Final = "http://127.0.0.1:9"

ENVIRONMENT: Final = {
    "ALLOMIA_API_KEY_SECRET_ARN": f"{ARN}:key-AbCdEf",
    "ALLOMIA_BASE_URL": "https://allomia.com",
    "AWS_ENDPOINT_URL": UNUSED_URL,
    "CALLING_POLICY": "open",
    "CALLS_TABLE_NAME": "calls",
    "HANDED_ON_QUEUE_URL": f"{UNUSED_URL}/123456789012/handed-on",
    "CALL_QUEUE_URL": f"{UNUSED_URL}/123456789012/calls",
    "OUTCOME_BUS_NAME": "outcomes",
    "FAILED_OUTCOMES_QUEUE_URL": f"{UNUSED_URL}/123456789012/failed-outcomes",
    "INVALID_MESSAGES_QUEUE_URL": f"{UNUSED_URL}/123456789012/invalid-messages",
    "NUMBER_HASH_SECRET_ARN": f"{ARN}:hash-AbCdEf",
    "POLICY_TABLE_NAME": "policy",
    "SIGNING_SECRET_ARN": f"{ARN}:signing-AbCdEf",
    "WEBHOOK_URL": "https://hooks.example/webhooks/allomia",
}
