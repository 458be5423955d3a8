"""The review page in a browser: reviewers decide by keys, see each other, and lose nothing."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import Visit, apart, visit
from engine_support import VideoJob, studio
from gallery_pages import CODE
from gallery_support import gallery_of
from ports import free_port
from review_pages import Drafts, drafts_of, mixed_drafts
from review_support import ReviewerPage, ServedReview, decide_by_keys, review_by_two, review_command, served_review

from wan_assets.ledger import DecisionValue, Ledger, NewDecision, VideoKey

PLAYS = "wanGallery.review.stage.video?.currentTime > 0.1 && !wanGallery.review.stage.video.paused"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Drafts:
    return apart(mixed_drafts, tmp_path_factory.mktemp("drafts"))


@pytest.fixture
def drafts(made: Drafts, tmp_path: Path) -> Drafts:
    """A copy of the drafts for one test."""
    shutil.copytree(made.folder, tmp_path / "studio")
    return Drafts(tmp_path / "studio", made.table, tmp_path / "studio" / "prompts.jsonl")


@pytest.fixture
def served(drafts: Drafts) -> Iterator[ServedReview]:
    with served_review(drafts.folder, drafts.table, "ada", "bob") as served:
        yield served


@pytest.fixture
def ada(seen: Visit, served: ServedReview) -> ReviewerPage:
    """The page of a reviewer with an open link."""
    page = ReviewerPage(seen.page)
    page.open(served.links["ada"])
    return page


def test_it_opens_with_the_first_undecided_clip_which_plays_in_a_loop(ada: ReviewerPage, seen: Visit) -> None:
    ada.until(PLAYS)

    assert ada.title == "p1 · take 2"
    assert seen.page.locator("#progress").inner_text() == (
        "3 of 7 videos decided: 1 approved, 1 rejected, 1 retake, 4 undecided"
    )
    assert seen.page.evaluate("[...document.querySelectorAll('.stage video')].every(each => each.loop && each.muted)")
    assert seen.page.locator(".stage video").count() == 4
    assert "token" not in seen.page.url
    seen.shot("review")


def test_decisions_by_keyboard_are_in_the_ledger(ada: ReviewerPage, drafts: Drafts, seen: Visit) -> None:
    ada.go_to("kite~a")
    ada.press("4", "n")
    seen.page.keyboard.type("<b>soft</b>")
    ada.press("Enter", "l")
    seen.page.keyboard.type("blurry, wrong colour")
    ada.press("Enter", "r")
    at = [ada.title]
    ada.press("a")
    at.append(ada.title)
    ada.press("t", "k")
    ada.until_recorded()

    found = drafts.decisions()
    last = found["kite~a"][-1]
    assert at == ["kite~b", "code"]
    assert [each.value.value for each in found["kite~a"]] == ["undecided"] * 3 + ["rejected"]
    assert (last.rating, last.note, last.labels) == (4, "<b>soft</b>", ("blurry", "wrong colour"))
    assert (last.reviewer, last.source) == ("ada", "page")
    assert drafts.values("kite~b") == [("ada", "approved")]
    assert drafts.values("code") == [("ada", "retake")]
    assert seen.page.locator("b").count() == 0


def test_undo_restores_what_applied_before(ada: ReviewerPage, drafts: Drafts, served: ServedReview) -> None:
    ada.go_to("p3")
    ada.press("r", "u")
    decide_by_keys(ada, {"kite~a": "a"})
    ada.press("u")
    decide_by_keys(ada, {"code": "a"})
    ada.until_recorded()
    ada.open(served.address, "clip=code&simulated=1")
    ada.press("u", "u")
    ada.until_recorded()

    assert drafts.values("p3") == [("policy", "approved"), ("ada", "rejected"), ("ada", "approved")]
    assert drafts.values("kite~a") == [("ada", "approved"), ("ada", "undecided")]
    assert drafts.values("code") == [("ada", "approved"), ("ada", "undecided")]


def test_undo_does_not_withdraw_what_another_reviewer_decided_since(
    ada: ReviewerPage, drafts: Drafts, served: ServedReview
) -> None:
    decide_by_keys(ada, {"kite~a": "r"})
    ada.until_recorded()
    video = drafts.decisions()["kite~a"][0].video
    served.ledger.decide([NewDecision(video, DecisionValue.APPROVED, "bob")])
    ada.until("wanGallery.progressOf(wanGallery.entries).approved === 2")
    ada.press("u")
    ada.until_recorded()

    assert drafts.values("kite~a") == [("ada", "rejected"), ("bob", "approved")]
    assert ada.page.locator("#said").inner_text() == "kite~a is not changed: bob has decided since."


def test_space_after_a_click_on_a_button_pauses_and_decides_nothing(
    ada: ReviewerPage, drafts: Drafts, seen: Visit
) -> None:
    ada.go_to("kite~a")
    seen.page.click(".approve")
    ada.until(PLAYS)
    ada.press("Space")
    ada.until_recorded()

    assert seen.page.evaluate("wanGallery.review.stage.video.paused")
    assert (drafts.values("kite~a"), drafts.values("kite~b")) == ([("ada", "approved")], [])


def test_the_served_gallery_records_decisions_too(seen: Visit, served: ServedReview, drafts: Drafts) -> None:
    seen.page.goto(served.links["ada"].replace("/?", "/index.html?"))
    seen.page.wait_for_selector("html[data-ready]")
    seen.page.locator('[aria-label^="kite~a"] .prompt').click()
    seen.page.locator("#audit .deciding").wait_for()
    seen.page.keyboard.press("a")
    seen.page.locator("#status .state", has_text="All decisions are recorded. Reviewer: ada.").wait_for()
    seen.page.locator("#audit .history li", has_text="ada").wait_for()

    seen.until("!document.querySelector('#audit .history').textContent.includes('not recorded yet')")
    assert drafts.values("kite~a") == [("ada", "approved")]
    assert seen.page.locator('[aria-label^="kite~a"] .mark').text_content() == "approved"


def test_a_held_key_decides_once_and_typing_decides_nothing(ada: ReviewerPage, drafts: Drafts, seen: Visit) -> None:
    ada.go_to("kite~a")
    seen.page.keyboard.down("a")
    seen.page.keyboard.down("a")
    seen.page.keyboard.up("a")
    ada.press("Control+r", "/")
    seen.page.keyboard.type("art")
    ada.until_recorded()

    assert [len(made) for made in drafts.decisions().values()] == [1, 2, 1, 1]


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("decision=undecided", ["p1 · take 2", "kite~a", "kite~b", "code"]),
        ("decision=approved", ["p3"]),
        ("decision=rejected", ["p2"]),
        ("decision=retake", ["p1"]),
        ("decision=conflicting", ["p2"]),
        ("decision=decided", ["p1", "p2", "p3"]),
        ("check=failed", ["p1", "p2"]),
        ("score=low%3Asharp", ["p1", "p2"]),
        ("extra=%5B%22campaign%22%2C%22spring%22%5D", ["p1", "p1 · take 2"]),
        ("words=dog", ["kite~a", "kite~b"]),
        ("sort=lowest_score&decision=decided", ["p1", "p2", "p3"]),
        ("words=nothing+of+this", []),
    ],
)
def test_every_filter_has_a_link(
    fragment: str, expected: list[str], shown: ReviewerPage, reading: ServedReview
) -> None:
    shown.open(f"{reading.address}/?", fragment)

    assert shown.page.evaluate("wanGallery.review.found.map(each => each.title)") == expected
    shown.page.evaluate("wanGallery.flushLink()")
    assert fragment.partition("=")[0] in shown.page.url
    assert shown.page.locator("#nothing").is_visible() == (not expected)


@pytest.fixture(scope="module")
def reading(made: Drafts) -> Iterator[ServedReview]:
    """A server for tests that decide nothing."""
    with served_review(made.folder, made.table, "ada") as served:
        yield served


@pytest.fixture
def shown(seen: Visit, reading: ServedReview) -> ReviewerPage:
    page = ReviewerPage(seen.page)
    page.open(reading.links["ada"])
    return page


def test_a_link_shows_its_clip_view_and_filter_to_another_reviewer(
    chromium: Any, ada: ReviewerPage, served: ServedReview
) -> None:
    ada.go_to("kite~a")
    ada.press("s", "ArrowRight")
    ada.page.evaluate("wanGallery.flushLink()")
    link = ada.page.url

    with visit(chromium) as other:
        bob = ReviewerPage(other.page)
        bob.open(served.links["bob"])
        bob.page.goto("about:blank")
        bob.open(link)

        assert bob.title == "kite~b"
        assert bob.page.locator(".tile .name").all_inner_texts() == ["seed=a", "seed=b"]
        bob.page.goto("about:blank")
        bob.open(served.address, "clip=gone")
        assert bob.page.locator("#said").inner_text() == "There is no video gone any more."


def test_a_link_on_a_page_of_another_site_works_in_a_browser_with_a_session(
    chromium: Any, served: ServedReview, tmp_path: Path
) -> None:
    with visit(chromium) as page:
        ReviewerPage(page.page).open(served.links["ada"])
        chat = tmp_path / "chat.html"
        chat.write_text(f'<a href="{served.address}/#clip=p2&amp;simulated=1">look</a>', encoding="utf-8")
        page.page.goto(chat.as_uri())
        page.page.click("a")
        page.page.wait_for_selector("html[data-ready]")

        assert ReviewerPage(page.page).title == "p2"


def test_takes_and_variants_play_side_by_side_and_are_decided_there(
    ada: ReviewerPage, drafts: Drafts, seen: Visit
) -> None:
    ada.press("s")
    ada.until("wanGallery.review.compare.videos.every(each => each.currentTime > 0.3)")
    times = ada.page.evaluate("wanGallery.review.compare.videos.map(each => each.currentTime)")
    seen.shot("review-takes")
    names = seen.page.locator(".tile .name").all_inner_texts()
    ada.press("ArrowLeft", "a", "Space")
    is_paused = ada.page.evaluate("wanGallery.review.compare.videos.every(each => each.paused)")
    ada.go_to("kite~a")
    ada.press("s")
    ada.until("document.querySelectorAll('.tile').length === 2")
    seen.shot("review-variants")
    ada.press("a", "r")
    ada.until_recorded()

    assert names == ["p1", "p1 · take 2"]
    assert abs(times[0] - times[1]) < 0.2
    assert is_paused
    assert drafts.values("p1") == [("bob", "retake"), ("ada", "approved")]
    assert (drafts.values("kite~a"), drafts.values("kite~b")) == ([("ada", "approved")], [("ada", "rejected")])


def test_the_history_and_all_texts_are_shown_as_text(shown: ReviewerPage) -> None:
    shown.go_to("p1")
    history = shown.page.locator(".history li").all_inner_texts()
    shown.go_to("code")
    shown.page.locator(".panel .checks li").first.wait_for()

    assert len(history) == 1
    assert all(text in history[0] for text in ("retake", "bob", "by command", CODE))
    assert shown.page.locator("h2 + .badges + .whole-prompt").inner_text() == CODE
    assert shown.page.title() == "Review of prompts.csv"
    assert shown.page.locator("main script, main img").count() == 0
    shown.go_to("p3")
    assert "by rule sharp" in shown.page.locator(".history li").inner_text()


def test_two_reviewers_see_each_others_decisions_and_conflicts(
    chromium: Any, ada: ReviewerPage, served: ServedReview, drafts: Drafts
) -> None:
    with visit(chromium) as other:
        bob = ReviewerPage(other.page)
        bob.open(served.links["bob"])
        decide_by_keys(ada, {"kite~a": "a", "kite~b": "r"})
        ada.until_recorded()
        bob.until("wanGallery.progressOf(wanGallery.entries).undecided === 2")
        decide_by_keys(bob, {"kite~b": "a", "code": "t"})
        bob.until_recorded()
        ada.until("wanGallery.progressOf(wanGallery.entries).undecided === 1")
        conflicts = ada.page.evaluate("wanGallery.entries.filter(wanGallery.isConflicting).map(each => each.title)")

    assert ada.value_of("code") == "retake"
    assert conflicts == ["p2", "kite~b"]
    assert drafts.values("kite~b") == [("ada", "rejected"), ("bob", "approved")]


def test_nothing_is_lost_when_the_server_is_killed_and_the_tab_is_closed(chromium: Any, tmp_path: Path) -> None:
    drafts = apart(drafts_of, tmp_path, {f"p{number}": f"A kite {number}" for number in range(1, 8)})
    port = free_port()
    with visit(chromium) as one, visit(chromium) as two:
        ada, bob = ReviewerPage(one.page), ReviewerPage(two.page)
        with review_command(drafts.file, port, ["ada", "bob"], *drafts.options) as command:
            links = command.links
            ada.open(links["ada"])
            bob.open(links["bob"])
            decide_by_keys(ada, {"p1": "a"})
            ada.until_recorded()
            command.kill()
            decide_by_keys(ada, {"p2": "a", "p3": "r"})
            decide_by_keys(bob, {"p4": "t", "p5": "a"})
            ada.until("document.querySelector('#status').dataset.state === 'offline'")
            said = one.page.locator("#status .state").inner_text()
            one.shot("review-offline")
            context = one.page.context
            one.page.close()
        with review_command(drafts.file, port, ["ada", "bob"], *drafts.options) as command:
            ada = ReviewerPage(context.new_page())
            ada.open(command.links["ada"])
            decide_by_keys(ada, {"p6": "a"})
            ada.until_recorded()
            bob.until_recorded()

    assert command.links == links
    assert said == "The server does not answer. 2 decisions kept in this browser. Trying again."
    assert {prompt_id: drafts.values(prompt_id) for prompt_id in (f"p{number}" for number in range(1, 8))} == {
        "p1": [("ada", "approved")],
        "p2": [("ada", "approved")],
        "p3": [("ada", "rejected")],
        "p4": [("bob", "retake")],
        "p5": [("bob", "approved")],
        "p6": [("ada", "approved")],
        "p7": [],
    }


def test_two_reviewers_decide_about_thirty_drafts_while_the_server_is_killed(chromium: Any, tmp_path: Path) -> None:
    prompts = {f"d{number:02}": f"A kite {number}" for number in range(30)}
    drafts, port = apart(drafts_of, tmp_path, prompts), free_port()
    keys = dict(zip(prompts, "a" * 20 + "r" * 6 + "t" * 4, strict=True))
    with visit(chromium) as one, visit(chromium) as two:
        review_by_two(
            lambda: review_command(drafts.file, port, ["ada", "bob"], *drafts.options),
            [ReviewerPage(one.page), ReviewerPage(two.page)],
            keys,
        )
        one.shot("review-of-thirty")

    values = {"a": "approved", "r": "rejected", "t": "retake"}
    expected = {name: [(("ada", "bob")[number % 2], values[key])] for number, (name, key) in enumerate(keys.items())}
    assert {name: drafts.values(name) for name in keys} == expected


def test_a_decision_about_a_video_that_is_gone_is_refused_with_the_reason(
    ada: ReviewerPage, seen: Visit, drafts: Drafts
) -> None:
    ada.go_to("kite~a")
    ada.page.evaluate("wanGallery.review.entry.sha256 = '0'.repeat(64)")
    ada.press("a")
    ada.until("wanGallery.review.sync.outbox.refused().length === 1")
    decide_by_keys(ada, {"kite~b": "a"})
    ada.until_recorded()

    assert "the ledger has no video 000000000000…" in seen.page.locator("#status .message").inner_text()
    assert drafts.values("kite~b") == [("ada", "approved")]
    seen.page.get_by_role("button", name="Try again").click()
    ada.until("wanGallery.review.sync.outbox.refused().length === 1")
    seen.page.get_by_role("button", name="Dismiss").click()
    ada.until("document.querySelector('#status .message').textContent === ''")


def test_decisions_stay_those_of_their_reviewer_when_another_uses_the_same_browser(
    ada: ReviewerPage, served: ServedReview, drafts: Drafts
) -> None:
    bob = ReviewerPage(ada.page.context.new_page())
    bob.open(served.links["bob"])
    decide_by_keys(ada, {"kite~a": "a"})
    ada.until("document.querySelector('#status').dataset.state === 'denied'")
    decide_by_keys(bob, {"kite~b": "r"})
    bob.until_recorded()
    before = drafts.values("kite~a")
    ada.open(served.links["ada"])
    ada.until_recorded()

    assert (before, drafts.values("kite~a")) == ([], [("ada", "approved")])
    assert drafts.values("kite~b") == [("bob", "rejected")]


def test_new_videos_are_offered_and_the_next_to_decide_is_shown_after_a_reload(
    ada: ReviewerPage, drafts: Drafts, seen: Visit
) -> None:
    ada.press("t", "k")
    ada.until_recorded()
    apart(generate_again, drafts)
    button = seen.page.get_by_role("button", name="1 new video: reload")
    button.wait_for()
    with seen.page.expect_navigation():
        button.click()
    seen.page.wait_for_selector("html[data-ready]")

    titles = seen.page.evaluate("wanGallery.entries.slice(0, 3).map(each => each.title)")
    assert titles == ["p1", "p1 · take 2", "p1 · take 3"]
    assert seen.page.evaluate("wanGallery.review.entry.title") == "p1 · take 3"
    assert not button.is_visible()


def generate_again(drafts: Drafts) -> None:
    with studio(drafts.folder) as studio_:
        studio_.run([VideoJob(row.request, row.prompt_id) for row in drafts.table.rows])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_page_fits_and_clips_are_decided_by_touch(
    scheme: str, chromium: Any, served: ServedReview, drafts: Drafts
) -> None:
    size = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
    with visit(chromium, **size, color_scheme=scheme) as phone:
        page = ReviewerPage(phone.page)
        page.open(served.links["ada"], "clip=kite~a&simulated=1")
        page.until(PLAYS)
        phone.shot(f"review-phone-{scheme}")
        phone.page.get_by_role("button", name="Rating 5").tap()
        phone.page.locator(".approve").tap()
        page.until_recorded()
        phone.page.tap("#filters-button")
        fits = phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        sizes = phone.page.locator(".actions button").evaluate_all("all => all.map(b => b.offsetHeight)")

    assert fits
    assert min(sizes) >= 34
    assert drafts.values("kite~a")[-1] == ("ada", "approved")
    assert drafts.decisions()["kite~a"][-1].rating == 5


def test_a_gallery_records_decisions_without_a_server_and_downloads_them(seen: Visit, drafts: Drafts) -> None:
    index = apart(gallery_of, drafts.folder, drafts.table).index
    seen.open(index)
    marks = seen.page.locator(".card .mark:visible").all_inner_texts()
    seen.choose("decision", "undecided")
    undecided = seen.ids()
    seen.page.fill(".reviewer", "ada")
    seen.page.locator('[aria-label^="p1 · take 2"] .prompt').click()
    seen.page.locator("#audit .deciding").wait_for()
    seen.page.keyboard.press("a")
    seen.page.locator("#audit .history li", has_text="not recorded yet").wait_for()
    seen.page.get_by_role("link", name="Open in the review page").click()
    page = ReviewerPage(seen.page)
    page.until("document.documentElement.dataset.ready")
    at = page.title
    decide_by_keys(page, {"code": "r"})
    seen.page.reload()
    page.until("wanGallery.review?.sync.unsent().length === 2")
    seen.shot("review-without-server")
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name="Download decisions.json").click()
    found = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))

    assert marks == ["retake", "rejected, conflicting", "approved"]
    assert undecided == ["p1 · take 2", "kite~a", "kite~b", "code"]
    assert at == "p1 · take 2"
    assert found["format"] == "wan-assets decisions 1"
    assert [(each["decision"], each["reviewer"], each["result"]) for each in found["decisions"]] == [
        ("approved", "ada", 1),
        ("rejected", "ada", 1),
    ]
    assert set(found["decisions"][0]) == {
        *("fingerprint", "sha256", "result", "decision", "rating", "labels", "note", "reviewer", "key", "decided_at")
    }
    assert download.value.suggested_filename == "decisions.json"
    imported(drafts, found["decisions"])
    seen.open(apart(gallery_of, drafts.folder, drafts.table).index)
    assert seen.page.evaluate("localStorage.length") == 1
    assert seen.page.evaluate("wanGallery.progressOf(wanGallery.entries)")["undecided"] == 2


def imported(drafts: Drafts, decisions: list[dict[str, Any]]) -> None:
    new = [
        NewDecision(
            VideoKey(each["fingerprint"], each["sha256"], each["result"]),
            DecisionValue(each["decision"]),
            each["reviewer"],
            source="import",
            key=each["key"],
        )
        for each in decisions
    ]
    with Ledger(drafts.url) as ledger:
        ledger.decide(new)


def test_a_gallery_asks_for_the_reviewers_name_first(seen: Visit, drafts: Drafts) -> None:
    seen.page.goto(apart(gallery_of, drafts.folder, drafts.table).index.with_name("review.html").as_uri())
    page = ReviewerPage(seen.page)
    page.until("document.documentElement.dataset.ready")
    page.press("a")

    assert seen.page.evaluate("document.activeElement.className") == "reviewer"
    assert seen.page.locator("#status .state").inner_text() == "Enter your name first."
    seen.page.keyboard.type("ada")
    page.press("Enter", "a")
    page.until("wanGallery.review.sync.unsent().length === 1")
    assert seen.page.evaluate("wanGallery.reviewer") == "ada"
