"""The gallery in a browser, opened from the disk: it plays, is searched, filtered and audited, and asks nobody else."""

import json

import pytest
from browser_support import visit
from gallery_pages import CODE, DIFFERENCE
from simulator_support import receiving

PLAYED = "([...document.querySelectorAll('.card video')].find(v => !v.paused)?.currentTime ?? 0) > 0.2"


def test_a_player_loads_when_it_is_seen_and_plays(seen, demo):
    seen.open(demo)

    seen.page.wait_for_selector(".card.loaded")
    seen.page.get_by_label("Play kite-480").click()

    seen.until(PLAYED)
    seen.shot("gallery-playing")


@pytest.mark.parametrize("prompt_id", ["kite-480", "tea-square", "harbour-silent", "hills-variants · 2"])
def test_videos_of_every_container_play(prompt_id, seen, demo):
    seen.open(demo)
    seen.search(prompt_id.partition(" ")[0])

    seen.page.get_by_label(f"Play {prompt_id}").click()

    seen.until(PLAYED)


def test_one_that_starts_to_play_stops_the_other(seen, demo):
    seen.open(demo)
    seen.page.get_by_label("Play kite-480").click()
    seen.until(PLAYED)

    seen.page.get_by_label("Play tea-square").click()

    stopped = "(v => v.paused && !v.ended)(document.querySelector('.card[aria-label^=kite-480] video'))"
    seen.until(f"({stopped}) && ({PLAYED})")


def test_the_search_finds_words_in_prompts_and_ids_in_any_order_and_case(seen, demo):
    seen.open(demo)

    seen.search("BEACH kite")
    by_prompt = seen.ids()
    seen.search("harbour-")
    by_id = seen.ids()
    seen.search("no such words")

    assert by_prompt == ["kite-480", "kite-portrait"]
    assert by_id == ["harbour-720", "harbour-silent"]
    assert seen.ids() == []
    assert seen.page.get_by_text("No video matches").is_visible()
    seen.change(lambda: seen.page.click("#clear-too"))
    assert seen.found.startswith("11 of 11 videos")


def test_a_video_that_deviates_has_a_badge_and_its_audit_card_says_how(seen, mixed):
    seen.open(mixed)

    badges = seen.page.locator(".badge.deviates:visible")
    titles = [badge.get_attribute("title") for badge in badges.all()]
    seen.choose("match", "deviates")
    seen.page.locator(".card .prompt").first.click()

    assert titles == [DIFFERENCE]
    seen.page.get_by_text(f"Deviates from the request: {DIFFERENCE}").wait_for()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"size": "1920x1080"}, ["p3"]),
        ({"length": "10"}, ["p4"]),
        ({"source": "simulated"}, ["p1"]),
        ({"source": "real", "size": "854x480"}, ["p2", "p4", "p5"]),
        ({"check": "failed"}, ["p2", "p4", "p5"]),
        ({"check": "failed:not_black"}, ["p2", "p5"]),
        ({"check": "passed", "source": "real"}, ["p3"]),
        ({"match": "deviates"}, ["p4"]),
        ({"match": "matches", "source": "real"}, ["p2", "p3", "p5"]),
        ({"extra": '["campaign","spring"]'}, ["p1", "p3"]),
        ({"extra": json.dumps(["campaign", CODE], separators=(",", ":"))}, ["p2"]),
        ({"extra": '["campaign","spring"]', "source": "real"}, ["p3"]),
        ({"cost": "unknown"}, ["p3"]),
        ({"cost": "shared"}, ["p5"]),
        ({"sort": "most_expensive"}, ["p4", "p1", "p2", "p5", "p3"]),
        ({"sort": "largest"}, ["p3", "p1", "p2", "p4", "p5"]),
    ],
    ids=str,
)
def test_filters_and_order_show_what_they_say(filters, expected, seen, mixed):
    seen.open(mixed)

    for name, value in filters.items():
        seen.choose(name, value)

    assert seen.ids() == expected


def test_the_variants_of_a_prompt_are_compared_side_by_side(seen, mixed, variants):
    seen.open(variants)
    before = seen.ids()
    seen.choose("view", "compare")

    order = "cards => cards.sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
    places = f"{order}.map(c => [c.querySelector('.prompt').textContent, c.getBoundingClientRect().y])"
    lines = dict(seen.page.locator(".card").evaluate_all(places))
    headings = [each.inner_text().split("\n") for each in seen.page.locator(".group").all()]
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("ArrowDown")
    focused = seen.page.evaluate("document.activeElement.querySelector('.prompt').textContent")
    seen.shot("gallery-variants")
    seen.choose("view", "")

    assert seen.ids() == before == ["kite~seed=1", "dog~seed=1", "kite~seed=2", "dog~seed=2", "plain"]
    assert list(lines) == ["seed=1", "seed=2", "dog · seed=1", "dog · seed=2"]
    assert lines["seed=1"] == lines["seed=2"] < lines["dog · seed=1"] == lines["dog · seed=2"]
    assert headings == [["kite", "2 videos", "A red kite"], ["dog", "2 videos", "A dog"]]
    assert focused == "dog · seed=1"
    seen.open(mixed)
    assert seen.page.locator("#view").is_hidden()


def test_costs_are_limited_to_the_micro_dollar_and_what_is_no_amount_is_marked(seen, mixed):
    seen.open(mixed)

    seen.change(lambda: seen.page.fill("#min-cost", "0.400001"))
    seen.change(lambda: seen.page.fill("#max-cost", "0.5"))
    within = seen.ids()
    seen.change(lambda: seen.page.fill("#min-cost", "0.400002"))
    above = seen.ids()
    seen.change(lambda: seen.page.fill("#min-cost", "cheap"))

    assert (within, above) == (["p1", "p2"], ["p1"])
    assert seen.page.get_attribute("#min-cost", "aria-invalid") == "true"


def test_the_cost_of_what_is_shown_is_exact_and_real_and_simulated_money_stand_apart(seen, mixed):
    seen.open(mixed)

    assert seen.found == "5 of 5 videos · $0.980001 · simulated $0.4730 · 1 of unknown cost"


def test_the_audit_card_tells_all_of_one_video_and_steps_to_the_next(seen, mixed):
    seen.open(mixed)
    seen.page.get_by_role("button", name="A dark forest").first.click()
    card = seen.page.locator("#audit")

    card.get_by_text("run-1").wait_for()

    said = card.inner_text()
    assert "A dark forest" in said
    assert "Cost $0.400001" in said
    assert "is black: its brightest spot is 2 of 255" in said
    assert seen.page.locator("#audit dt", has_text="sha256").locator("+ dd").inner_text().isalnum()
    for name in ("task_uuid", "video_uuid", "fingerprint", "seed", "run_id", "cost_usd"):
        assert seen.page.locator("#audit dt", has_text=name).first.is_visible()
    card.get_by_label("Next video").click()
    card.get_by_text("Rain on a roof").wait_for()
    assert "Cost unknown" in card.inner_text()


def test_the_audit_card_of_a_shared_video_names_who_paid(seen, mixed):
    seen.open(mixed)
    seen.choose("cost", "shared")

    seen.page.get_by_role("button", name="A dark forest").click()

    seen.page.get_by_text("This video is shared with row p2, which has its cost.").wait_for()


def test_a_prompt_that_looks_like_code_is_shown_as_text_and_does_nothing(seen, mixed):
    seen.open(mixed)
    seen.search("onerror")

    seen.page.get_by_role("button", name=CODE).click()

    seen.page.locator("#audit .whole-prompt").wait_for()
    assert seen.page.locator("#audit .whole-prompt").inner_text() == CODE
    assert seen.page.title() == "prompts.csv: 5 videos"
    assert seen.page.locator("main img:not(.poster), dialog img, main script").count() == 0


def test_no_request_leaves_the_folder_whatever_is_done(seen, demo):
    seen.open(demo)
    seen.page.get_by_label("Play kite-480").click()
    seen.until(PLAYED)
    seen.page.get_by_role("button", name="A red kite").first.click()
    seen.page.locator("#audit dl").first.wait_for()
    seen.page.keyboard.press("Escape")
    seen.page.mouse.wheel(0, 3000)
    seen.search("hills")

    folder = demo.parent.as_uri() + "/"
    assert len(seen.requests) > 20
    assert [url for url in seen.requests if not url.startswith(folder)] == []


def test_the_page_may_not_ask_anybody_else_even_if_its_code_wanted_to(seen, demo):
    attempt = """async url => {
        const broken = [];
        addEventListener('securitypolicyviolation', event => broken.push(event.effectiveDirective));
        await fetch(url).catch(() => {});
        for (const tag of ['img', 'script', 'iframe', 'video']) {
            const element = document.createElement(tag);
            element.src = url;
            document.body.append(element);
        }
        await new Promise(done => setTimeout(done, 300));
        return broken.sort();
    }"""
    with receiving() as receiver:
        seen.open(demo)

        broken = seen.page.evaluate(attempt, receiver.url)

        assert receiver.received.empty()
    assert broken == ["connect-src", "frame-src", "img-src", "media-src", "script-src-elem"]


def test_all_can_be_done_by_keyboard(seen, mixed):
    seen.open(mixed)
    keys = seen.page.keyboard
    at = "document.activeElement.querySelector('.id')?.textContent"

    keys.press("/")
    keys.type("a ")
    seen.until("document.querySelector('#found').textContent.startsWith('4 of 5')")
    keys.press("ArrowDown")
    keys.press("ArrowRight")
    second = seen.page.evaluate(at)
    keys.press("Space")
    seen.until(PLAYED)
    keys.press("End")
    last = seen.page.evaluate(at)
    keys.press("Enter")
    seen.page.locator("#audit dl").first.wait_for()
    keys.press("ArrowLeft")
    seen.page.locator("#audit h2", has_text="p3").wait_for()
    keys.press("Escape")

    seen.until(f"{at} === 'p3'")

    assert (second, last) == ("p2", "p5")


def test_totals_and_spending_are_told_in_numbers_too(seen, mixed):
    seen.open(mixed)

    assert "$0.980001" in seen.page.locator("#tiles").inner_text()
    assert seen.page.locator(".chart").count() == 2
    seen.page.locator(".chart.simulated details summary").click()
    assert "$0.4730" in seen.page.locator(".chart.simulated table").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_systems_scheme_and_can_be_told_another(scheme, chromium, demo):
    background = "getComputedStyle(document.body).backgroundColor"
    with visit(chromium, color_scheme=scheme) as page:
        page.open(demo)
        page.page.wait_for_selector(".card.loaded")
        page.shot(f"gallery-{scheme}")
        by_system = page.page.evaluate(background)
        page.page.click("#theme")
        light = page.page.evaluate(background)
        page.page.click("#theme")
        dark = page.page.evaluate(background)

    assert by_system == (light if scheme == "light" else dark)
    assert light != dark


def test_on_a_phone_the_page_is_one_column_that_fits_and_its_filters_open(chromium, demo):
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
    with visit(chromium, **phone) as page:
        page.open(demo)
        page.page.wait_for_selector(".card.loaded")
        page.shot("gallery-phone")
        lefts = page.page.locator(".card").evaluate_all("cards => cards.map(c => c.getBoundingClientRect().left)")
        assert len(set(lefts)) == 1
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        page.page.tap("#filters-button")
        page.choose("size", "480x854")

        assert page.ids() == ["kite-portrait"]
        page.page.get_by_role("button", name="A red kite").first.tap()
        page.page.locator("#audit dl").first.wait_for()
        assert page.page.evaluate("document.querySelector('#audit').scrollWidth <= innerWidth")
        page.shot("gallery-phone-audit")
