"""The review server: it serves reviewers only, records their decisions under their own names, and repeats nothing."""

import contextlib
import json
import socket
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_support import request_of, run_in_store, studio
from gallery_support import table_of
from review_support import ServedReview, served_review

from wan_assets.engine import VideoJob
from wan_assets.errors import DecisionError
from wan_assets.ledger import DecisionValue, NewDecision, VideoKey
from wan_assets.servers import ReviewAccess
from wan_assets.store import VideoStore

REQUESTS = [request_of(f"A red kite {number}") for number in range(2)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a studio with two videos."""
    folder = tmp_path_factory.mktemp("review")
    with studio(folder) as made:
        made.run([VideoJob(request, f"p{number}") for number, request in enumerate(REQUESTS, 1)])
    return folder


@pytest.fixture(scope="module")
def served(made: Path) -> Iterator[ServedReview]:
    with served_review(made, table_of(*REQUESTS), "ada", "bob") as served:
        yield served


@contextlib.contextmanager
def signed_in(served: ServedReview, name: str = "ada") -> Iterator[httpx.Client]:
    """A client with the session of a reviewer, and the header that changes need."""
    with httpx.Client(base_url=served.address, follow_redirects=True) as client:
        client.get(served.links[name])
        client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
        yield client


def decision(client: httpx.Client, clip: int = 0, **changes: Any) -> dict[str, Any]:
    """A decision about a clip as the page sends it."""
    record = client.get("/api/clips?page=0").json()["clips"][clip]
    named = {"fingerprint": record["fingerprint"], "sha256": record["sha256"], "result": 1}
    return {**named, "decision": "approved", "key": str(uuid.uuid4()), **changes}


def posted(client: httpx.Client, *decisions: dict[str, Any], **headers: str) -> httpx.Response:
    return client.post("/api/decisions", json={"decisions": decisions}, headers=headers)


def test_a_link_opens_a_session_and_its_token_leaves_the_address(served: ServedReview) -> None:
    answer = httpx.get(served.links["ada"])

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert served.links["ada"].partition("token=")[2] not in cookie
    with signed_in(served) as client:
        assert client.get("/").text.startswith("<!doctype html>")
        assert client.get("/api/session").json()["reviewer"] == "ada"


@pytest.mark.parametrize("path", ["/", "/review.html", "/summary.js", "/api/session", "/api/clips?page=0", "/nothing"])
@pytest.mark.parametrize("how", ["none", "wrong token", "two tokens", "wrong cookie", "cookie of another server"])
def test_nothing_is_shown_without_a_session(served: ServedReview, how: str, path: str) -> None:
    name = served.access.cookie
    cookies = {"wrong cookie": {name: "0" * 64}, "cookie of another server": {f"{name}0": served.access.session("ada")}}
    separator = "&" if "?" in path else "?"
    token = served.access.tokens["ada"]
    query = {"wrong token": f"{separator}token=wrong", "two tokens": f"{separator}token={token}&token={token}"}

    answer = httpx.get(served.address + path + query.get(how, ""), cookies=cookies.get(how))

    assert answer.status_code == 403
    assert "Open the link that <code>wan-assets review</code> printed" in answer.text


def test_a_token_redirects_to_a_page_of_this_server_only(served: ServedReview) -> None:
    token = served.access.tokens["ada"]

    places = {path: httpx.get(f"{served.address}{path}?token={token}").headers["location"] for path in PLACES}

    assert places == PLACES


PLACES = {"/index.html": "/index.html", "//evil.example.com/": "/", "/api/session": "/", "/videos/x": "/"}


def test_another_host_name_and_another_site_are_refused(served: ServedReview) -> None:
    with signed_in(served) as client:
        sent, before = decision(client), served.ledger.last_decision()
        assert client.get("/", headers={"Host": "evil.example.com"}).status_code == 400
        assert posted(client, sent, Origin="http://127.0.0.1:9").status_code == 403
        assert posted(client, sent, Origin="null").status_code == 403
        assert posted(client, sent, **{"X-CSRF-Token": served.access.csrf("bob")}).status_code == 403
        assert posted(client, sent, **{"X-CSRF-Token": ""}).status_code == 403
        assert served.ledger.last_decision() == before
        assert posted(client, sent, Origin=served.address).status_code == 200


def test_the_pages_forbid_everything_but_their_own_files(served: ServedReview) -> None:
    with signed_in(served) as client:
        for path in ("/", "/review.js", "/summary.js", "/api/session", "/nothing"):
            headers = client.get(path).headers
            assert "default-src 'none'; script-src 'self'; style-src 'self';" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert headers["referrer-policy"] == "no-referrer"
        assert "Content-Security-Policy" not in client.get("/").text


@pytest.mark.parametrize(
    "path",
    ["/../ledger.db", "/%2e%2e/ledger.db", "/..%2freview-access.json", "/data-x/../summary.js", "/posters/", "//x.js"],
)
def test_no_other_file_is_served(served: ServedReview, path: str) -> None:
    address = ("127.0.0.1", httpx.URL(served.address).port)
    cookie = f"{served.access.cookie}={served.access.session('ada')}"

    with socket.create_connection(address) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        answer = wire.recv(65536)

    assert answer.startswith(b"HTTP/1.1 404 ")


def test_videos_are_served_from_the_store_with_ranges_and_are_not_copied(served: ServedReview) -> None:
    with signed_in(served) as client:
        record = client.get("/api/clips?page=0").json()["clips"][0]
        answer = client.get(f"/videos/{record['file']}", headers={"Range": "bytes=4-7"})
        poster = client.get(f"/posters/{record['poster']}")

    assert (answer.status_code, answer.content) == (206, b"ftyp")
    assert answer.headers["cache-control"] == "private, max-age=86400, immutable"
    assert poster.content[8:12] == b"WEBP"
    assert list((served.pages.root / "videos").iterdir()) == []


@pytest.mark.slow
def test_videos_in_a_bucket_are_shown_by_signed_addresses_that_the_policy_admits(bucket: str, tmp_path: Path) -> None:
    store = VideoStore(bucket)
    with studio(tmp_path) as made:
        (outcome,) = run_in_store(made, store)

    with served_review(tmp_path, table_of(outcome.job.request), store=store) as served, signed_in(served) as client:
        client.follow_redirects = False
        (record,) = client.get("/api/clips?page=0").json()["clips"]
        sent_on = client.get(f"/videos/{record['file']}")
        place = httpx.URL(sent_on.headers["location"])
        policy = client.get("/").headers["content-security-policy"]

    assert sent_on.status_code == 307
    assert f"media-src 'self' {place.scheme}://{place.netloc.decode()};" in policy
    assert httpx.get(place, headers={"Range": "bytes=4-7"}).content == b"ftyp"


def test_a_decision_is_recorded_once_under_the_name_of_the_session(served: ServedReview) -> None:
    with signed_in(served) as ada, signed_in(served, "bob") as bob:
        before = served.ledger.last_decision()
        details = {"rating": 4, "labels": ["blurry"], "note": "<b>no</b>", "reviewer": "eve", "decided_at": "1970"}
        sent = decision(ada, decision="rejected", **details)
        first, again = posted(ada, sent).json(), posted(ada, sent).json()
        copied = posted(bob, sent)
        seen = bob.get(f"/api/decisions?after={before}").json()["decisions"]

    assert first == again
    assert copied.status_code == 409
    (recorded,) = seen
    assert recorded == first["decisions"][0]
    assert {name: recorded[name] for name in ("decision", "rating", "labels", "note", "reviewer", "source")} == {
        "decision": "rejected", "rating": 4, "labels": ["blurry"], "note": "<b>no</b>", "reviewer": "ada",
        "source": "page",
    }  # fmt: skip
    assert recorded["decided_at"] > "2026"


INVALID = [
    ({"decision": "perfect"}, 422),
    ({"decision": None}, 422),
    ({"rating": 6}, 422),
    ({"rating": "5"}, 422),
    ({"labels": "blurry"}, 422),
    ({"labels": ["x"] * 30 + ["y" * 61]}, 422),
    ({"note": "x" * 2001}, 422),
    ({"note": 1}, 422),
    ({"key": "1"}, 400),
    ({"key": None}, 400),
    ({"sha256": "0" * 64}, 422),
    ({"sha256": "../x"}, 400),
    ({"fingerprint": 1}, 400),
    ({"result": 0}, 400),
    ({"result": True}, 400),
    ({"result": 2}, 422),
]


@pytest.mark.parametrize(("changes", "status"), INVALID, ids=str)
def test_a_decision_that_is_not_valid_is_refused_with_the_reason(
    served: ServedReview, changes: dict[str, Any], status: int
) -> None:
    with signed_in(served) as client:
        before = served.ledger.last_decision()
        answer = posted(client, decision(client, **changes))

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert served.ledger.last_decision() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[" * 100_000, 400), (b"{}", 400), (b'{"decisions": [1]}', 400), (b" " * 1_000_001, 413)],
    ids=["empty", "deep", "no list", "no objects", "large"],
)
def test_a_body_that_is_not_valid_is_refused(served: ServedReview, body: bytes, status: int) -> None:
    with signed_in(served) as client:
        assert client.post("/api/decisions", content=body).status_code == status
        assert posted(client, *[decision(client)] * 101).status_code == 413


def test_links_sessions_and_decisions_survive_a_restart(made: Path) -> None:
    table = table_of(*REQUESTS)
    with served_review(made, table, "ada") as served, signed_in(served) as client:
        link, cookies, csrf = served.links["ada"], dict(client.cookies), client.headers["X-CSRF-Token"]
        sent = decision(client)
        first = posted(client, sent).json()
        port = httpx.URL(served.address).port
    with served_review(made, table, "ada", port=port or 0) as served:
        again = httpx.post(
            f"{served.address}/api/decisions",
            json={"decisions": [sent]},
            cookies=cookies,
            headers={"X-CSRF-Token": csrf},
        )

    assert served.links["ada"] == link
    assert again.json() == first


def test_the_tokens_are_in_a_file_of_the_owner_and_new_if_others_could_read_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "access.json"
    first = ReviewAccess.kept_in(path, ["ada", "bob", "ada "])
    mode = stat.S_IMODE(path.stat().st_mode)
    second = ReviewAccess.kept_in(path, ["bob", "eve"])
    path.chmod(0o644)
    third = ReviewAccess.kept_in(path, ["bob"])

    assert mode == 0o600
    assert len({*first.tokens.values(), *second.tokens.values()}) == 3
    assert list(first.tokens) == ["ada", "bob"]
    assert (second.tokens["bob"], second.scope) == (first.tokens["bob"], first.scope)
    assert second.reviewer_of_token(first.tokens["ada"]) is None
    assert third.tokens["bob"] != first.tokens["bob"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(DecisionError, match="no reviewer"):
        ReviewAccess.kept_in(path, [" "])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tokens": []}', '{"scope": 1, "tokens": {"ada": ""}}'])
def test_an_access_file_that_is_not_valid_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "access.json"
    path.touch(0o600)
    path.write_text(content)

    access = ReviewAccess.kept_in(path, ["ada"])

    assert len(access.tokens["ada"]) > 40
    assert json.loads(path.read_text()) == {"scope": access.scope, "tokens": dict(access.tokens)}


@pytest.mark.slow
def test_new_videos_are_counted_and_shown_when_the_pages_are_written_again(tmp_path: Path) -> None:
    requests = [request_of(f"A kite {number}") for number in range(2)]
    with studio(tmp_path) as made, served_review(tmp_path, table_of(*requests)) as served, signed_in(served) as client:
        made.run([VideoJob(requests[0], "p1")])
        client.post("/api/pages")
        (first,) = client.get("/api/clips?page=0").json()["clips"]
        served.ledger.decide([NewDecision(video_of(first), DecisionValue.RETAKE, "ada")])
        made.run([VideoJob(request, f"p{number}") for number, request in enumerate(requests, 1)])
        counted = served.pages.new_videos()
        clips = client.post("/api/pages") and client.get("/api/clips?page=0").json()["clips"]
        answers = [client.get(f"/api/{path}").status_code for path in ("clips?page=1", "clips?page=x", "decisions")]
        after = client.get("/api/decisions?after=0&videos").json()["new_videos"]

    assert [(clip["prompt_id"], clip["take"], clip["chosen"]) for clip in clips] == [
        ("p1", 1, False),
        ("p1", 2, True),
        ("p2", 1, True),
    ]
    assert (counted, after) == (2, 0)
    assert answers == [404, 404, 400]


def video_of(record: dict[str, Any]) -> VideoKey:
    return VideoKey(record["fingerprint"], record["sha256"])
