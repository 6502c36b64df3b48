"""The settings of check_release."""

from outbound_calls.runtime.settings import Settings


class CheckReleaseSettings(Settings):
    """The settings of check_release."""
