"""Who may ask: by token, by the host that a request names, by the origin of a page."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from starlette.requests import Request

ANY = "*"


class Access:
    """Who may ask.

    Args:
        token: that clients must bring; empty for none.
        hosts: names that a request may have come for; ``*`` for any. Where these are this machine's
            own, a page of another site cannot reach the server under a name of its own
            (DNS rebinding).
        origins: of other sites' pages that may ask, such as ``https://example.org``.
    """

    def __init__(self, token: str = "", hosts: Sequence[str] = (ANY,), origins: Sequence[str] = ()):
        self._token = token.encode()
        self._hosts = {host.lower().strip("[]") for host in hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    @property
    def closed(self) -> bool:
        """Whether a token is needed."""
        return bool(self._token)

    def refusal(self, request: Request) -> tuple[int, str] | None:
        """Why a request must not be looked at, as a status and a message."""
        hosts = request.headers.getlist("host")
        if len(hosts) > 1:
            return 400, "a request names one host"
        host = hosts[0] if hosts else ""
        name = _name(host)
        if ANY not in self._hosts and name not in self._hosts:
            return 421, "this server is not asked under that host: --allowed-hosts"
        origin = request.headers.get("origin", "").lower().rstrip("/")
        if origin and origin not in self._origins and origin.partition("://")[2] != host.lower():
            return 403, "pages of that origin may not ask: --allowed-origins"
        return None

    def is_foreign(self, request: Request) -> str:
        """The origin of another site's page that may ask; empty for all other requests."""
        origin = request.headers.get("origin", "")
        return origin if origin.lower().rstrip("/") in self._origins else ""

    def knows(self, request: Request) -> bool:
        """Whether a request brings the token, or needs none."""
        if not self._token:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return same and scheme.lower() == "bearer"


def _name(host: str) -> str:
    """The name of a ``Host`` header, without port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")
