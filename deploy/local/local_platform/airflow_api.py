"""The REST API of an Airflow on this machine."""

from __future__ import annotations

import httpx

_HEALTH_KEYS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_REPEATS = 3
_NOT_WRITTEN = (httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.SERVICE_UNAVAILABLE)


class _RepeatingTransport(httpx.HTTPTransport):
    """Repeats the calls that Airflow 3.3 could not write to its database.

    Its API server blocks all other requests while it writes its audit log. SQLite has one writer at
    a time, so a request that has begun to write cannot end then. After SQLite's timeout of five
    seconds the blocking call fails with a 500, and both can continue. A backfill that finds the
    database locked gets a 503, and must be repeated.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(_REPEATS):
            response = super().handle_request(request)
            if response.status_code not in _NOT_WRITTEN:
                return response
            response.close()
        return super().handle_request(request)


def log_in(url: str, username: str, password: str) -> httpx.Client:
    """Return a client of the REST API that is logged in."""
    login = {"username": username, "password": password}
    token_url = f"{url}/auth/token"
    answer = httpx.post(token_url, json=login, timeout=30, trust_env=False).raise_for_status()
    return httpx.Client(
        base_url=f"{url}/api/v2",
        headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
        timeout=30,
        trust_env=False,
        transport=_RepeatingTransport(),
    )


def unhealthy_components(url: str) -> list[str]:
    """Return the components that the API server reports as unhealthy, or itself."""
    try:
        answer = httpx.get(f"{url}/api/v2/monitor/health", timeout=5, trust_env=False)
        health = answer.json()
    except (httpx.HTTPError, ValueError):
        return ["api-server"]
    return [name for name in _HEALTH_KEYS if health.get(name, {}).get("status") != "healthy"]
