"""A table cannot send the API, or who writes to its addresses, into somebody's own network."""

import ipaddress

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wan_assets.prompts import PromptTable
from wan_assets.prompts.hosts import is_public_host
from wan_assets.prompts.url_rules import is_public
from wan_assets.settings import is_loopback

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
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020.0.1",
    "127\uff0e0\uff610\u30021",
    "\u2460\u2461\u2466.0.0.1",
    "\u00b9\u00b2\u2077.0.0.1",
    "%31%32%37.0.0.1",
    "%2531%2532%2537.0.0.1",
    "127%2e0%2E0%2e1",
    "127.0.0\u00ad.1",
    "1\u200b27.0.0.1",
    "127.0.0.1\ufe0f",
    "local\u00adhost",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
    "loc%61lhost",
    "%E2%93%9Bocalhost",
    "localhost\u3002localdomain",
    "localhost.localdomain",
    "localhost6",
    "localhost6.localdomain6",
    "ip6-localhost",
    "metadata",
    "METADATA.GOOGLE.INTERNAL.",
    "metadata.goog",
    "instance-data.ec2.internal",
    "kubernetes.default.svc",
    "db.cluster.local",
    "router.home",
    "printer.lan",
    "host.docker.internal",
    "169.254.43518",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "0177.1",
    "017700000001",
    "127.0.0.1.",
    "127.0.0.1..",
    "127.1.",
    "010.0.0.1",
    "0010.0.0.01",
    "256.256.256.256",
    "127.0.0.1.5",
    "1.2.3.4.5",
    "08.8.8.9.1",
    "0x",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::1]",
    "[2001:0:7f00:1::1]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2606:4700::5efe:127.0.0.1]",
    "[2606:4700::200:5efe:10.0.0.1]",
    "[fec0::1]",
    "[feff::1]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fc00::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[4000::1]",
    "[100::1]",
    "127.0.0.1.nip.io",
    "app-127-0-0-1.nip.io",
    "7f000001.nip.io",
    "--1.sslip.io",
    "localtest.me",
    "foo.lvh.me",
    "example.com%2f.127.0.0.1",
    "127.0.0.1%00.example.com",
    "127.0.0.1%2f.example.com",
    "example.com@me@127.0.0.1",
    "127.0.0.1@me@example.com",
    "a..b.com",
    "-a.com",
    "xn--a.com\u2024internal",
]
PUBLIC = [
    "example.com",
    "sub.example.co.uk.",
    "8.8.8.8",
    "[2606:4700::1111]",
    "localhost.example.com",
    "user@example.com",
    "example.com.",
    "EXAMPLE.com",
    "ex%61mple.com",
    "m\u00fcnchen.de",
    "\u4f8b\u3048.jp",
    "xn--mnchen-3ya.de",
    "my_bucket.s3.amazonaws.com",
    "bucket.s3.eu-west-1.amazonaws.com",
    "internal.example.com",
    "local.example.com",
    "metadata.example.com",
    "nip.io.example.com",
    "10.example.com",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::8.8.8.8]",
    "[2002:808:808::1]",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_not_public_is_refused(host: str) -> None:
    assert not is_public(f"http://{host}/a.png")
    assert not is_public(f"https://{host}:8080/a.png")
    assert not is_public(f"http://user:word@{host}:8080/a.png")


@pytest.mark.parametrize("host", PUBLIC)
def test_what_is_public_is_let_through(host: str) -> None:
    assert is_public(f"https://{host}/a.png")


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "{:d}", "0x{:x}", "[::ffff:{}]"]))
def test_an_address_is_judged_alike_in_every_form(address: ipaddress.IPv4Address, form: str) -> None:
    written = form.format(int(address) if "d" in form or "x" in form else address)

    is_metadata = str(address) in ("168.63.129.16", "192.0.0.192")  # of clouds, in ranges that are global
    assert is_public(f"http://{written}/") == (address.is_global and not address.is_multicast and not is_metadata)


@pytest.mark.parametrize("column", ["inputs.frame_images", "inputs.audio", "webhook_url", "upload_endpoint"])
@pytest.mark.parametrize(
    "url",
    [
        *("http://169.254.169.254/latest/a.png", "file:///etc/passwd", "ftp://example.com/a.png"),
        *("https://[64:ff9b::7f00:1]/a.png", "https://%6c%6fcalhost/a.png"),
        *("https://\uff11\uff12\uff17.0.0.1/a.png", "https://127\u30020.0.1/a.png"),
    ],
)
def test_a_table_tells_row_column_and_value(column: str, url: str) -> None:
    row = {"prompt_id": "a", "positive_prompt": "Kite", "resolution": "480p", column: url}
    table = PromptTable.load(pd.DataFrame([row]))

    assert not table.rows
    (problem,) = [problem for problem in table.problems if problem.column == column]
    assert (problem.row, problem.prompt_id) == (1, "a")
    assert url in problem.value


@pytest.mark.parametrize(
    "inputs",
    [{"reference_videos": ["{}"]}, {"frame_images": ["{}"]}, {"urls": ["{}"]}, {"reference_audios": ["{}"]}],
)
@pytest.mark.parametrize("before", ["", "\x01", "\x02\x03"])
def test_no_input_of_any_model_has_a_private_host_after_characters_that_clients_remove(inputs, before) -> None:
    given = {name: [f"{before}http://127.0.0.1/a"] for name in inputs}
    row = {"positive_prompt": "Kite", "model": "wan3.0", "width": 1280, "height": 720, "inputs": given}
    table = PromptTable.load(pd.DataFrame([row]))

    assert not table.rows
    assert "must not have a private, local or reserved host" in {problem.rule for problem in table.problems}


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


DISGUISES = {
    "plain": str,
    "wide": lambda host: "".join(chr(ord(letter) + 0xFEE0) if letter.isalnum() else letter for letter in host),
    "percent": lambda host: "".join(f"%{ord(letter):02x}" if letter.isascii() else letter for letter in host),
    "percent twice": lambda host: "".join(f"%25{ord(letter):02X}" if letter.isascii() else letter for letter in host),
    "dots of Chinese": lambda host: host.replace(".", "\u3002"),
    "small dots": lambda host: host.replace(".", "\uff61"),
    "soft hyphens": "\u00ad".join,
    "joiners": "\u2060".join,
    "upper case": str.upper,
    "a dot": lambda host: f"{host}.",
}
HOSTS = ["localhost", "127.0.0.1", "10.1.2.3", "169.254.169.254", "metadata.google.internal", "printer.local", "0x7f.1"]


@given(st.sampled_from(HOSTS), st.lists(st.sampled_from([*DISGUISES]), max_size=3))
def test_no_disguise_makes_a_private_host_public(host: str, disguises: list[str]) -> None:
    for disguise in disguises:
        host = DISGUISES[disguise](host)

    assert not is_public_host(host)


@given(st.ip_addresses(v=4), st.lists(st.sampled_from(["decimal", "hex", "octal"]), min_size=4, max_size=4))
@example(ipaddress.ip_address("127.0.0.1"), ["octal", "hex", "decimal", "octal"])
def test_an_address_is_not_public_by_being_written_in_other_numbers(
    address: ipaddress.IPv4Address, bases: list[str]
) -> None:
    forms = {"decimal": "{}", "hex": "0x{:x}", "octal": "0{:o}"}
    written = [forms[base].format(byte) for base, byte in zip(bases, address.packed, strict=True)]

    if not address.is_global or address.is_multicast:
        assert not is_public_host(".".join(written))
        assert not is_public_host(str(int(address)))


@given(st.ip_addresses(v=4), st.sampled_from(["::", "::ffff:", "::ffff:0:", "64:ff9b::"]))
def test_an_address_within_another_is_judged_as_itself(address: ipaddress.IPv4Address, prefix: str) -> None:
    assert is_public_host(f"[{prefix}{address}]") == is_public_host(str(address))


@given(st.text(max_size=30))
def test_any_text_is_judged(host: str) -> None:
    assert is_public_host(host) in (True, False)
    assert is_public(f"https://{host}/a") in (True, False)


@pytest.mark.parametrize("host", ["127.example.com", "127.0.0.1.example.com", "127.evil", "localhost.example.com"])
def test_a_name_that_begins_like_loopback_is_none(host: str) -> None:
    assert not is_loopback(host)
