"""The gallery's folder: what is written of which video, where the money is told, and what happens to an older one."""

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from engine_support import PRICE, VideoJob, request_of, studio
from gallery_support import audits_of, content_of, gallery_of, paid, records_of, summary_of, table_of, written_in
from process_support import dead_owner

import wan_assets.gallery
from wan_assets.cli import cli
from wan_assets.dataset import COLUMNS
from wan_assets.gallery import GalleryError
from wan_assets.gallery.items import AUDIT_COLUMNS, money_text
from wan_assets.gallery.pages import INDEX_PAGE, PageWriter, script_of
from wan_assets.gallery.statistics import spending_over_time
from wan_assets.ledger import DecisionValue, Ledger, NewDecision, SpendLine, VideoKey
from wan_assets.ledger.processes import new_owner
from wan_assets.store import VideoStore

PAGE = Path(wan_assets.gallery.__file__).parent / "page"
HOSTILE = (
    "</script><script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    'a \u2028 line \\ and "quotes" \'); wanGallery = null; //',
    "Ein Drache über Köln 🪁 一只红色的风筝",
    "a lone surrogate \ud800",
)


def test_every_file_of_a_run_is_in_the_gallery_as_a_link_to_the_stores_file(tmp_path):
    requests = [request_of("A kite"), request_of("A boat", number_results=2), request_of("Never made")]
    with studio(tmp_path) as studio_:
        outcomes = studio_.run([VideoJob(request, f"p{number}") for number, request in enumerate(requests[:2], 1)])

    gallery = gallery_of(tmp_path, table_of(*requests))

    records, reported = records_of(gallery), summary_of(gallery)
    stored = [video for outcome in outcomes for video in outcome.stored.videos]
    assert [(record["prompt_id"], record["prompt"], record["result"]) for record in records] == [
        ("p1", "A kite", 0),
        ("p2", "A boat", 1),
        ("p2", "A boat", 2),
    ]
    places = [gallery.index.parent / "videos" / record["file"] for record in records]
    assert [place.stat().st_ino for place in places] == [Path(video.uri).stat().st_ino for video in stored]
    assert all((gallery.index.parent / "posters" / record["poster"]).read_bytes()[:4] == b"RIFF" for record in records)
    assert {(record["size"], record["length_s"], record["format"]) for record in records} == {("1280x720", 5, "MP4")}
    assert all(record["simulated"] for record in records)
    assert (reported["rows"], reported["videos"], reported["missing"]) == (3, 3, 1)
    assert reported["sizes"] == [["1280x720", 3]]


def test_several_models_are_a_filter(tmp_path):
    models = enumerate(("wan2.5", "wan2.6", "wan2.6"))
    requests = [request_of(f"Kite {number}", model=name, resolution="720p") for number, name in models]
    for request in requests:
        paid(tmp_path, request)
    gallery = gallery_of(tmp_path, table_of(*requests))

    assert summary_of(gallery)["extra"] == [["model", [["wan2.5", 1], ["wan2.6", 2]]]]


@pytest.mark.slow
def test_extra_columns_with_few_short_values_are_filters(tmp_path):
    requests = [request_of(f"Kite {number}") for number in range(52)]
    for request in requests:
        paid(tmp_path, request)
    extra = [{"kind": "ab"[number % 2], "own": str(number), "long": "x" * 81} for number in range(52)]

    gallery = gallery_of(tmp_path, table_of(*requests, extra=extra))

    assert summary_of(gallery)["extra"] == [["kind", [["a", 26], ["b", 26]]]]
    assert records_of(gallery)[1]["extra"] == {"model": "wan2.5", "kind": "b", "own": "1"}


def test_the_money_of_the_videos_is_the_ledgers_and_a_shared_video_costs_once_and_names_who_paid(tmp_path):
    kite, boat = request_of("A kite"), request_of("A boat")
    paid(tmp_path, kite, cost=473_001)
    paid(tmp_path, boat, cost=None)

    gallery = gallery_of(tmp_path, table_of(kite, boat, kite))

    records, reported = records_of(gallery), summary_of(gallery)
    totals = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}").totals().real
    assert [(record["cost"], record["paid_by"]) for record in records] == [(473_001, ""), (None, ""), (0, "p1")]
    assert gallery.totals.real.cost_microusd == totals.cost_microusd == 473_001
    assert gallery.totals.real.reserved_microusd == totals.reserved_microusd > 0
    assert reported["money"][0] | {"reserved": ""} == {
        "kind": "real",
        "videos": 3,
        "cost": "$0.473001",
        "reserved": "",
        "unknown": 1,
    }
    assert reported["ledger"]["real"]["cost"] == "$0.473001"
    assert "simulated" not in reported["ledger"]


def test_real_and_simulated_videos_of_a_row_are_both_shown_and_their_money_is_never_added(tmp_path):
    kite, boat = request_of("A kite"), request_of("A boat")
    with studio(tmp_path) as studio_:
        studio_.run([VideoJob(kite, "p1"), VideoJob(boat, "p2")])
    paid(tmp_path, kite, cost=500_000)

    reported = summary_of(gallery := gallery_of(tmp_path, table_of(kite, boat)))

    kinds = [(record["prompt_id"], record["simulated"], record["cost"]) for record in records_of(gallery)]
    assert kinds == [("p1", False, 500_000), ("p1", True, PRICE), ("p2", True, PRICE)]
    assert [(money["videos"], money["cost"]) for money in reported["money"]] == [(1, "$0.5000"), (2, "$0.9460")]
    assert {kind: sums["cost"] for kind, sums in reported["ledger"].items()} == {
        "real": "$0.5000",
        "simulated": "$0.9460",
    }
    assert reported["missing"] == 0


def test_an_audit_card_tells_request_seed_uuids_run_digest_and_cost(tmp_path):
    request = request_of("A kite", seed=11, negative_prompt="rain")
    with studio(tmp_path) as studio_:
        (outcome,) = studio_.run([VideoJob(request, "p1", "p1")])
        (task,) = studio_.ledger().stored_tasks("-", simulated=True)

    (audit,) = audits_of(gallery_of(tmp_path, table_of(request)))

    video = outcome.stored.videos[0]
    assert audit["negative_prompt"] == "rain"
    assert (audit["requested_seed"], audit["seed"]) == ("11", "11")
    assert (audit["task_uuid"], audit["video_uuid"]) == (task.task_uuid, video.video_uuid)
    assert (audit["sha256"], audit["fingerprint"]) == (video.sha256, request.fingerprint())
    assert (audit["run_id"], audit["partition"]) == (task.origin.run_id, "p1")
    assert audit["cost_usd"] == "$0.473000"
    assert audit["requested_height"] == ""
    shown = {column.name for column in AUDIT_COLUMNS}
    assert {column.name for column in COLUMNS} - shown == {"prompt_id", "positive_prompt", "uri", "checks"}


def test_a_failed_check_is_told_with_its_reason_and_counted(tmp_path):
    dark, fine = request_of("Night"), request_of("Day")
    paid(tmp_path, dark, facts={"brightest_luma": 3.0, "change_luma": 80.0, "width": float("nan")}, is_nsfw=False)
    paid(tmp_path, fine, facts={"brightest_luma": 200.0, "change_luma": 80.0})

    gallery = gallery_of(tmp_path, table_of(dark, fine))

    reported = summary_of(gallery)
    audits = content_of(gallery.index.parent / reported["folder"] / "audit-0.js")
    verdicts = {name: (result, said) for name, result, said in audits[0][1]}
    assert [record["failed_checks"] for record in records_of(gallery)] == [["not_black"], []]
    assert verdicts["not_black"] == ("failed", "is black: its brightest spot is 3 of 255")
    assert verdicts["not_nsfw"][0] == "passed"
    assert verdicts["matches_request"][0] == "not measured"
    assert (reported["failed"], reported["failed_checks"]) == (1, [["not_black", 1]])


@pytest.mark.parametrize("text", [*HOSTILE, "__proto__"])
def test_a_script_is_ascii_that_holds_foreign_text_as_data_alone(text):
    script = script_of("index", 3, [[text, {text: text}]]).decode("ascii")

    head, tail = 'wanGallery.take("index",3,JSON.parse(', "));\n"
    inner = json.loads(script.removeprefix(head).removesuffix(tail))
    assert script.startswith(head)
    assert script.endswith(tail)
    assert json.loads(inner) == [[text, {text: text}]]


def test_prompts_that_look_like_code_come_back_as_they_are(tmp_path):
    requests = [request_of(text) for text in HOSTILE[:-1]]
    for request in requests:
        paid(tmp_path, request)

    gallery = gallery_of(tmp_path, table_of(*requests))

    assert [record["prompt"] for record in records_of(gallery)] == [request.positive_prompt for request in requests]


def test_no_file_of_a_gallery_holds_a_secret_or_a_place_on_this_machine(tmp_path):
    image = "https://user:pa55@example.com/a.png?sig=s3cret"
    hook = {"webhook_url": "https://example.com/?k=s3cret", "upload_endpoint": "https://example.com/put?k=s3cret"}
    request = request_of(inputs={"frame_images": [image]}, resolution=None, **hook)
    paid(tmp_path, request)

    gallery = gallery_of(tmp_path, table_of(request))

    everything = b"".join(written_in(gallery).values())
    assert b"https://example.com/a.png" in everything
    for secret in (b"s3cret", b"pa55", str(tmp_path).encode()):
        assert secret not in everything


def test_a_second_writing_of_the_same_state_changes_nothing_but_the_summary(tmp_path):
    request = request_of()
    paid(tmp_path, request)
    before = gallery_of(tmp_path, table_of(request))
    root = before.index.parent
    kept = {path: path.stat().st_ino for path in root.rglob("*") if path.parent != root}

    after = gallery_of(tmp_path, table_of(request))

    assert written_in(after) == written_in(before)
    assert {path: path.stat().st_ino for path in root.rglob("*") if path.parent != root} == kept


def test_what_no_row_asks_for_any_more_leaves_the_gallery_and_stays_in_the_store(tmp_path):
    kite, boat = request_of("A kite"), request_of("A boat")
    places = [paid(tmp_path, kite), paid(tmp_path, boat)]
    gallery_of(tmp_path, table_of(kite, boat))

    gallery = gallery_of(tmp_path, table_of(boat))

    root = gallery.index.parent
    assert [path.name for path in (root / "videos").iterdir()] == [records_of(gallery)[0]["file"]]
    assert len(list(root.glob("data-*"))) == 1
    assert all(place.is_file() for place in places)


def test_a_writing_that_fails_leaves_the_older_gallery_whole(tmp_path):
    kite, boat = request_of("A kite"), request_of("A boat")
    paid(tmp_path, kite)
    before = written_in(gallery_of(tmp_path, table_of(kite)))
    paid(tmp_path, boat, sha256="../../outside")

    with pytest.raises(GalleryError, match="has no SHA-256"):
        gallery_of(tmp_path, table_of(kite, boat))

    root = tmp_path / "gallery"
    assert {name: (root / name).read_bytes() for name in before} == before
    assert not list(root.glob(".*"))
    assert not (tmp_path / "outside.mp4").exists()


@pytest.mark.slow
def test_what_a_killed_writer_left_is_swept_by_the_next_one(tmp_path):
    dead = dead_owner()
    gallery_of(tmp_path, table_of(request_of()))
    left = [tmp_path / "gallery" / f".{dead}~data", tmp_path / "gallery" / "videos" / f".{dead}~part"]
    mine = tmp_path / "gallery" / "videos" / f".{new_owner()}~part"
    left[0].mkdir()
    left[1].touch()
    mine.touch()

    gallery_of(tmp_path, table_of(request_of()))

    assert [path.exists() for path in [*left, mine]] == [False, False, True]


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path):
    folder = tmp_path / "gallery"
    folder.mkdir()
    (folder / "index.html").write_text("my own page")

    with pytest.raises(GalleryError, match="contains other files and is not a gallery") as refusal:
        gallery_of(tmp_path, table_of(request_of()))

    assert "empty folder" in refusal.value.hint
    assert [path.name for path in folder.iterdir()] == ["index.html"]


def test_videos_of_a_store_that_is_no_folder_are_copied_once(tmp_path):
    request = request_of()
    place = paid(tmp_path, request, content=b"the video")
    store = VideoStore("memory://gallery-of-a-test")
    for path in (tmp_path / "store" / "videos").rglob("*.*"):
        target = store.root / path.relative_to(tmp_path / "store").as_posix()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    place.unlink()

    gallery = gallery_of(tmp_path, table_of(request), store=store)

    (record,) = records_of(gallery)
    copy = gallery.index.parent / "videos" / record["file"]
    made = copy.stat().st_ino
    gallery_of(tmp_path, table_of(request), store=store)
    assert copy.read_bytes() == b"the video"
    assert copy.stat().st_ino == made


def test_a_picture_that_a_sidecar_lacks_is_made_and_a_file_without_one_is_shown_all_the_same(tmp_path):
    kite, boat = request_of("A kite"), request_of("A boat")
    with studio(tmp_path) as studio_:
        (outcome,) = studio_.run([VideoJob(kite, "p1")])
    video = Path(outcome.stored.videos[0].uri).read_bytes()
    paid(tmp_path, kite, content=video, poster="no picture")
    paid(tmp_path, boat, content=b"no video either")

    gallery = gallery_of(tmp_path, table_of(kite, boat))

    posters = [gallery.index.parent / "posters" / record["poster"] for record in records_of(gallery)]
    assert [poster.is_file() for poster in posters] == [True, True, False]
    assert posters[0].read_bytes()[8:12] == b"WEBP"


def test_pages_are_cut_where_they_are_full_and_their_digest_tells_contents_apart(tmp_path):
    digests = []
    for folder, count in (("one", INDEX_PAGE + 1), ("other", INDEX_PAGE + 1), ("third", INDEX_PAGE)):
        (tmp_path / folder).mkdir()
        writer = PageWriter(tmp_path / folder, "index", INDEX_PAGE)
        for number in range(count):
            writer.add([number])
        digests.append(writer.end())

    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["index-0.js", "index-1.js"]
    assert [path.name for path in (tmp_path / "third").iterdir()] == ["index-0.js"]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.0000"),
        (473_000, "$0.4730"),
        (473_001, "$0.473001"),
        (1_234_567_890_100, "$1,234,567.8901"),
        (-50, "-$0.000050"),
        (None, "unknown"),
    ],
)
def test_an_amount_is_shown_exactly(amount, text):
    assert money_text(amount) == text


def spend(day: date, amount: int) -> SpendLine:
    return SpendLine(
        (day.isoformat(),), is_simulated=False, tasks=1, cost_microusd=amount, reserved_microusd=0, unknown=0
    )


def test_spending_has_every_day_from_first_to_last_and_months_where_that_is_long():
    first = date(2026, 1, 30)
    days = [spend(first, 1), spend(first + timedelta(days=3), 2)]
    year = [spend(first + timedelta(days=number), 10) for number in range(0, 365, 5)]

    assert spending_over_time(days) == [
        ("2026-01-30", 1, "$0.000001"),
        ("2026-01-31", 0, "$0.0000"),
        ("2026-02-01", 0, "$0.0000"),
        ("2026-02-02", 2, "$0.000002"),
    ]
    assert [key for key, _, _ in spending_over_time(year)][:2] == ["2026-01", "2026-02"]
    assert sum(amount for _, amount, _ in spending_over_time(year)) == 730
    assert spending_over_time([]) == []


def test_the_pages_name_only_files_that_they_have_and_make_no_markup_of_texts():
    pages = [path.read_text(encoding="utf-8") for path in PAGE.glob("*.html")]
    scripts = {path.name: path.read_text(encoding="utf-8") for path in PAGE.glob("*.js")}
    styles = "".join(path.read_text(encoding="utf-8") for path in PAGE.glob("*.css"))

    named = {name for page in pages for name in re.findall(r'(?:src|href)="([^"]+)"', page)}
    assert named - {"summary.js"} == {path.name for path in PAGE.iterdir()}
    assert all("default-src 'none'; script-src 'self' file:;" in page for page in pages)
    code = "".join(scripts.values())
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", code)
    assert [name for name, script in scripts.items() if "fetch(" in script] == ["sync.js"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", "".join(pages) + code + styles)


@pytest.mark.slow
def test_a_gallery_shows_all_takes_of_a_row_with_the_decisions_about_them(tmp_path):
    kite, boat = request_of("A kite"), request_of("A boat")
    with studio(tmp_path) as studio_:
        jobs = [VideoJob(kite, "p1"), VideoJob(boat, "p2")]
        first = studio_.run(jobs)[0].stored
        with studio_.ledger() as ledger:
            video = VideoKey(first.fingerprint, first.videos[0].sha256)
            ledger.decide(
                [NewDecision(video, DecisionValue.RETAKE, "ada", rating=2, labels=("dark",), note=HOSTILE[0])]
            )
        studio_.run(jobs)

    records, reported = records_of(gallery := gallery_of(tmp_path, table_of(kite, boat))), summary_of(gallery)

    shown = [(record["prompt_id"], record["take"], record["chosen"], len(record["decisions"])) for record in records]
    assert shown == [("p1", 1, False, 1), ("p1", 2, True, 0), ("p2", 1, True, 0)]
    assert (records[0]["fingerprint"], records[0]["sha256"]) == video[:2]
    (decision,) = records[0]["decisions"]
    assert decision | {"decided_at": ""} == {
        "number": 1,
        "decision": "retake",
        "rating": 2,
        "labels": ["dark"],
        "note": HOSTILE[0],
        "reviewer": "ada",
        "decided_at": "",
        "source": "command",
        "rule": "",
    }
    assert (reported["decisions"], reported["takes"]) == ({"retake": 1, "undecided": 2}, 1)
    assert (reported["last_decision"], reported["served"]) == (1, False)
    assert (reported["rows"], reported["missing"]) == (2, 0)


def test_the_command_writes_the_gallery_of_what_the_folder_has_and_tells_programs(tmp_path):
    table = tmp_path / "prompts.jsonl"
    table.write_text(json.dumps({"positive_prompt": "A kite", "resolution": "480p"}) + "\n")
    out = tmp_path / "out"
    (tmp_path / "out").mkdir()
    Ledger(f"sqlite:///{out / 'ledger.db'}").close()

    result = CliRunner().invoke(cli, ["gallery", str(table), "--data-dir", str(out), "--json"])

    reported = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (reported["rows"], reported["videos"], reported["missing"]) == (1, 0, 1)
    assert Path(reported["index"]) == out / "gallery" / "index.html"


def test_the_command_says_what_to_do_where_there_is_no_ledger_or_the_place_is_taken(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    Ledger(f"sqlite:///{tmp_path / 'ledger.db'}").close()

    missing = CliRunner().invoke(cli, ["gallery", "--data-dir", str(tmp_path / "nowhere")])
    taken = CliRunner().invoke(cli, ["gallery", "--data-dir", str(tmp_path), "--output", str(tmp_path / "taken")])

    assert (missing.exit_code, taken.exit_code) == (2, 2)
    assert "what to do" in missing.stderr
    assert "contains other files" in taken.stderr
