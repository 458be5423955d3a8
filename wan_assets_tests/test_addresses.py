"""A table cannot send the API, or who writes to its addresses, into somebody's own network."""

import ipaddress

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_assets.prompts import PromptTable
from wan_assets.prompts.addresses import is_public

PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fe80::1%25eth0]",
    "[fd00::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[2002:7f00:1::]",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "metadata.google.internal",
    "printer.local",
    "intranet",
    "user@127.0.0.1",
    "example.com@10.0.0.1",
    "127.0.0.1\\@example.com",
]
PUBLIC = [
    "example.com",
    "sub.example.co.uk.",
    "8.8.8.8",
    "[2606:4700::1111]",
    "localhost.example.com",
    "user@example.com",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_not_public_is_refused(host: str) -> None:
    assert not is_public(f"http://{host}/a.png")
    assert not is_public(f"https://{host}:8080/a.png")


@pytest.mark.parametrize("host", PUBLIC)
def test_what_is_public_is_let_through(host: str) -> None:
    assert is_public(f"https://{host}/a.png")


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "{:d}", "0x{:x}", "[::ffff:{}]"]))
def test_an_address_is_judged_alike_in_every_form(address: ipaddress.IPv4Address, form: str) -> None:
    written = form.format(int(address) if "d" in form or "x" in form else address)

    assert is_public(f"http://{written}/") == (address.is_global and not address.is_multicast)


@pytest.mark.parametrize("column", ["inputs.frame_images", "inputs.audio", "webhook_url", "upload_endpoint"])
@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/a.png", "file:///etc/passwd", "ftp://example.com/a.png"]
)
def test_a_table_tells_row_column_and_value(column: str, url: str) -> None:
    row = {"prompt_id": "a", "positive_prompt": "Kite", "resolution": "480p", column: url}
    table = PromptTable.load(pd.DataFrame([row]))

    assert not table.rows
    (problem,) = [problem for problem in table.problems if problem.column == column]
    assert (problem.row, problem.prompt_id) == (1, "a")
    assert url in problem.value


@pytest.mark.parametrize("scheme", ["http", "ftp"])
@pytest.mark.parametrize("column", ["inputs.frame_images", "webhook_url"])
def test_a_problem_with_an_address_tells_no_secret_of_it(column: str, scheme: str) -> None:
    address = f" {scheme}://me:pa55word@10.0.0.1/a.png?sig=5ecret "
    row = {"prompt_id": "a", "positive_prompt": "Kite", "resolution": "480p", column: address}
    said = "\n".join(map(str, PromptTable.load(pd.DataFrame([row])).problems))

    assert f"{scheme}://10.0.0.1/a.png" in said
    assert "pa55word" not in said
    assert "5ecret" not in said


def test_a_table_with_public_addresses_is_taken() -> None:
    row = {"prompt_id": "a", "positive_prompt": "Kite", "webhook_url": "https://example.com/hook", "resolution": "480p"}

    assert len(PromptTable.load(pd.DataFrame([row])).rows) == 1
