"""A table cannot reach private hosts, nor have any file uploaded but the one beside it that was checked."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
from collections.abc import Callable
from pathlib import Path, PurePath

import pandas as pd
import pytest
from bent_api import SUBMIT, UPLOAD, bent
from engine_support import errors_of
from hypothesis import example, given
from hypothesis import strategies as st

from wan_assets.client.connections import is_loopback
from wan_assets.errors import PromptTableError
from wan_assets.generation import Order
from wan_assets.hosts import is_public_host
from wan_assets.local_files import MOST_BYTES, LocalFileError, content_below, content_known_as, reference_to
from wan_assets.prompts import PromptTable
from wan_assets.prompts.addresses import is_public

PRIVATE = [
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
    "metadata.google.internal",
    "METADATA.GOOGLE.INTERNAL.",
    "metadata.goog",
    "instance-data.ec2.internal",
    "kubernetes.default.svc",
    "db.cluster.local",
    "router.home",
    "printer.lan",
    "host.docker.internal",
    "169.254.169.254",
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
    "2130706433",
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
    "[::ffff:127.0.0.1]",
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
    "[fe80::1%25eth0]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fc00::1]",
    "[::1]",
    "[::]",
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
    "localhost.example.com",
    "metadata.example.com",
    "nip.io.example.com",
    "10.example.com",
    "8.8.8.8",
    "[2606:4700::1111]",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::8.8.8.8]",
    "[2002:808:808::1]",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_host_that_some_client_takes_for_a_private_one_is_refused(host: str) -> None:
    assert not is_public(f"https://{host}/a.png")
    assert not is_public(f"http://user:word@{host}:8080/a.png")


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_host_is_taken(host: str) -> None:
    assert is_public(f"https://{host}/a.png")


@pytest.mark.parametrize("column", ["inputs.frame_images", "inputs.audio", "webhook_url", "upload_endpoint"])
@pytest.mark.parametrize("host", ["\uff11\uff12\uff17.0.0.1", "127\u30020.0.1", "[64:ff9b::7f00:1]", "%6c%6fcalhost"])
def test_a_table_refuses_such_a_host_in_every_column(column: str, host: str) -> None:
    row = {"prompt_id": "a", "positive_prompt": "Kite", "resolution": "480p", column: f"https://{host}/a.png"}
    table = PromptTable.load(pd.DataFrame([row]))

    assert not table.rows
    assert column in {problem.column for problem in table.problems}


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


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
SECRET = b"\x89PNG\r\n\x1a\n" + b"what is nobody's business" * 20


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def folder_with_picture(folder: Path) -> tuple[Path, PromptTable]:
    """A table beside a folder of pictures, checked; and a secret outside of it."""
    written(folder / "secret" / "kite.png", SECRET)
    written(folder / "table" / "pictures" / "kite.png", PNG)
    row = {"prompt_id": "a", "positive_prompt": "Kite", "inputs.frame_images": "pictures/kite.png"}
    table = written(folder / "table" / "prompts.jsonl", json.dumps(row).encode())
    return folder / "table" / "pictures" / "kite.png", PromptTable.load(table)


def _link(picture: Path, target: str | Path) -> None:
    picture.unlink()
    picture.symlink_to(target)


def _swap_folder(picture: Path) -> None:
    picture.parent.rename(picture.parent.with_name("before"))
    picture.parent.symlink_to(picture.parents[2] / "secret")


def _fifo(picture: Path) -> None:
    picture.unlink()
    os.mkfifo(picture)


def _folder(picture: Path) -> None:
    picture.unlink()
    picture.mkdir()


def _huge(picture: Path) -> None:
    with picture.open("r+b") as file:
        file.truncate(MOST_BYTES * 100)


SWAPS: dict[str, Callable[[Path], object]] = {
    "a link to another file": lambda picture: _link(picture, picture.parents[2] / "secret" / "kite.png"),
    "a link to a file of the system": lambda picture: _link(picture, "/etc/hostname"),
    "a link to an endless device": lambda picture: _link(picture, "/dev/zero"),
    "a link to nothing": lambda picture: _link(picture, "nothing.png"),
    "a folder that is a link": _swap_folder,
    "a FIFO": _fifo,
    "a folder": _folder,
    "a huge file": _huge,
    "another picture": lambda picture: picture.write_bytes(SECRET),
    "one more byte": lambda picture: picture.write_bytes(PNG + b"0"),
    "nothing": Path.unlink,
}


@pytest.mark.parametrize("swap", SWAPS)
def test_nothing_but_the_file_that_was_checked_is_uploaded(tmp_path: Path, swap: str) -> None:
    picture, table = folder_with_picture(tmp_path)
    assert not table.problems
    SWAPS[swap](picture)

    with bent(tmp_path) as made:
        (outcome,) = made.run([Order(request) for request in table.requests], media=table.media)

        assert not made.calls(UPLOAD)
        assert not made.calls(SUBMIT)
        assert made.ledger().totals().simulated.reserved_microusd == 0
    assert errors_of([outcome]) == ["RequestRejectedError"]
    assert outcome.error
    assert str(picture) in str(outcome.error)


def test_the_file_that_was_checked_is_uploaded_byte_for_byte(tmp_path: Path) -> None:
    _, table = folder_with_picture(tmp_path)

    with bent(tmp_path) as made:
        made.run([Order(request) for request in table.requests], media=table.media)
        (upload,) = made.calls(UPLOAD)

    head, _, content = upload.tasks[0]["media"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == PNG


@pytest.mark.parametrize("kind", ["a link out", "a folder that is a link out", "a device", "a FIFO", "a huge file"])
@pytest.mark.parametrize("column", ["inputs.frame_images", "inputs.audio"])
def test_a_table_takes_no_file_from_elsewhere_and_waits_for_none(tmp_path: Path, kind: str, column: str) -> None:
    picture, _ = folder_with_picture(tmp_path)
    folder = tmp_path / "table"
    (folder / "out.png").symlink_to(tmp_path / "secret" / "kite.png")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.png")
    _huge(picture)
    names = {"a link out": "out.png", "a folder that is a link out": "out/kite.png", "a device": "zero.png"}
    name = {**names, "a FIFO": "fifo.png", "a huge file": "pictures/kite.png"}[kind]
    rows = pd.DataFrame(
        [{"positive_prompt": "Kite", "resolution": "480p" if "audio" in column else None, column: name}]
    )
    table = PromptTable.load(rows, base_dir=folder)

    assert not table.media
    assert column in {problem.column for problem in table.problems}


def test_a_file_is_opened_part_by_part_and_through_no_link(tmp_path: Path) -> None:
    written(tmp_path / "in" / "deep" / "a.png", PNG)
    written(tmp_path / "out" / "a.png", SECRET)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out" / "a.png")

    assert content_below(tmp_path / "in", PurePath("deep/a.png")) == PNG
    for place in ("link/a.png", "link.png", "deep/none.png", "deep"):
        with pytest.raises(LocalFileError):
            content_below(tmp_path / "in", PurePath(place))
    with pytest.raises(LocalFileError, match="has changed"):
        content_known_as(tmp_path / "in" / "deep" / "a.png", reference_to(SECRET))


@pytest.mark.parametrize("name", ["{folder}/tables", "{folder}/tables/*.txt"])
def test_no_link_leads_out_of_a_folder_of_tables(tmp_path: Path, name: str) -> None:
    written(tmp_path / "elsewhere.txt", b"A secret")
    written(tmp_path / "tables" / "a.txt", b"A kite")
    (tmp_path / "tables" / "b.txt").symlink_to("a.txt")
    inside = PromptTable.load(name.format(folder=tmp_path))
    (tmp_path / "tables" / "c.txt").symlink_to(tmp_path / "elsewhere.txt")

    assert len(inside) + len(inside.problems) == 2
    with pytest.raises(PromptTableError, match="leads out of"):
        PromptTable.load(name.format(folder=tmp_path))
