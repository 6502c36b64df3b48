"""A local cloud with a proxy in front of it."""

from __future__ import annotations

from types import TracebackType
from typing import override

from local.cloud import LocalCloud
from local.proxy import Proxy


class FrontedCloud(LocalCloud):
    """The local cloud, whose clients talk to the proxy that `put_in_front` starts."""

    def __init__(self) -> None:
        super().__init__()
        self._front: Proxy | None = None

    def put_in_front(self, front: Proxy) -> None:
        """Start a proxy, which ends with the cloud."""
        front.__enter__()
        self._front = front

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._front is not None:
            self._front.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)

    @property
    @override
    def endpoint_url(self) -> str:
        return super().endpoint_url if self._front is None else self._front.url
