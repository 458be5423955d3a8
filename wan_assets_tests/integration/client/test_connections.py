"""Which way posts go where the environment names proxies."""

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address

import pytest
from api_double import KEY, QUICK, ApiDouble, U, known, run
from simulator_support import receiving

from wan_assets.client import RunwareClient
from wan_assets.errors import RunwareBusyError

NOT_LOOPBACK = str(IPv4Address(0))
"""This machine, under a name that does not say so."""


@pytest.mark.parametrize(
    ("host", "environment", "is_proxied"),
    [
        (NOT_LOOPBACK, {}, False),
        (NOT_LOOPBACK, {"http_proxy": "http://{proxy}"}, True),
        (NOT_LOOPBACK, {"HTTP_PROXY": "{proxy}"}, True),
        (NOT_LOOPBACK, {"all_proxy": "http://{proxy}"}, True),
        (NOT_LOOPBACK, {"https_proxy": "http://{proxy}"}, False),
        (NOT_LOOPBACK, {"http_proxy": "http://{proxy}", "no_proxy": f"example.org,{NOT_LOOPBACK}"}, False),
        ("127.0.0.1", {"http_proxy": "http://{proxy}"}, False),
    ],
)
def test_posts_go_through_the_proxy_of_the_environment(
    host: str, environment: Mapping[str, str], is_proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with ApiDouble(known()) as api, receiving() as proxy:
        for name, value in environment.items():
            monkeypatch.setenv(name, value.format(proxy=proxy.url.removeprefix("http://").rstrip("/")))
        client = RunwareClient(KEY, api.base_url.replace("127.0.0.1", host), http_config=QUICK)
        with suppress(RunwareBusyError):
            run(client, lambda client: client.poll([U]))

        assert (proxy.received.qsize(), len(api.posts)) == ((1, 0) if is_proxied else (0, 1))
