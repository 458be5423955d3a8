"""Galleries to look at: one of every kind of entry, and one of very many."""

from __future__ import annotations

from pathlib import Path

from engine_support import VideoJob, request_of, stored_task, stored_video, studio
from gallery_support import gallery_of, paid, table_of

from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.store import StoredTask, VideoStore

CODE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
DIFFERENCE = "length is 10.00 s, requested 5 s"
FACTS = {"width": 854, "height": 480, "duration_s": 5.0, "brightest_luma": 200.0, "change_luma": 90.0}
SIZES = ((854, 480), (1280, 720), (720, 1280), (1920, 1080))


def mixed_gallery(folder: Path) -> Path:
    """`p1` simulated, `p2` dark, `p3` of unknown cost, `p4` too long, with the prompt `CODE`, `p5` as `p2`.

    All but `p5` have a campaign.
    """
    simulated, dark, unknown, code = map(request_of, ("A red kite", "A dark forest", "Rain on a roof", CODE))
    with studio(folder) as studio_:
        (outcome,) = studio_.run([VideoJob(simulated, "p1")])
    video = outcome.stored.videos[0]
    content = Path(video.uri).read_bytes()
    poster = {"poster": video.poster}
    paid(folder, dark, content=content, cost=400_001, facts={**FACTS, "brightest_luma": 2.0}, **poster)
    paid(folder, unknown, content=content + b"\0", cost=None, facts={**FACTS, "width": 1920, "height": 1080}, **poster)
    longer = {"facts": {**FACTS, "duration_s": 10.0}, "differences": (DIFFERENCE,)}
    paid(folder, code, content=content + b"\0\0", cost=580_000, **longer, **poster)
    extra = [{"campaign": name} for name in ("spring", CODE, "spring", "autumn")]
    return gallery_of(folder, table_of(simulated, dark, unknown, code, dark, extra=extra)).index


def gallery_of_variants(folder: Path) -> Path:
    """Two seeds of `kite` and of `dog`, in turns, and a row without variants."""
    given = [("kite", "A red kite", 1), ("dog", "A dog", 1), ("kite", "A red kite", 2), ("dog", "A dog", 2)]
    requests = [request_of(prompt, seed=seed) for _, prompt, seed in given] + [request_of("A cat")]
    with studio(folder) as studio_:
        studio_.run([VideoJob(request, f"v{number}") for number, request in enumerate(requests)])
    marks = {"kite": "", "dog": "dog~"}
    rows = [
        PromptRow(
            number,
            f"{name}~seed={seed}",
            request,
            {"experiment": name, "variant": f"{marks[name]}seed={seed}"},
        )
        for number, ((name, _, seed), request) in enumerate(zip(given, requests, strict=False), 1)
    ]
    rows.append(PromptRow(5, "plain", requests[-1], {}))
    return gallery_of(folder, PromptTable(tuple(rows), (), len(rows))).index


def large_gallery(folder: Path, count: int) -> Path:
    """So many entries, each with a prompt, a task and a file of its own, in four sizes; eight different clips."""
    with studio(folder) as studio_:
        made = studio_.run([VideoJob(request_of(f"Clip {number}"), f"c{number}") for number in range(8)])
    clips = [outcome.stored.videos[0] for outcome in made if outcome.stored]
    requests = [
        request_of(f"Kite {number} over {_SCENES[number % len(_SCENES)]}", seed=number) for number in range(count)
    ]
    store = VideoStore(folder / "store")
    for number, request in enumerate(requests):
        clip = clips[number % len(clips)]
        store.commit(_task(store, number, request.fingerprint(), clip))
    return gallery_of(folder, table_of(*requests)).index


def _task(store: VideoStore, number: int, fingerprint: str, clip) -> StoredTask:
    place = Path(store.root.path) / "simulated" / fingerprint[:2] / fingerprint / f"t{number}-1.mp4"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.hardlink_to(clip.uri)
    width, height = SIZES[number % len(SIZES)]
    kept = stored_video(str(place), clip.bytes, f"{number:064x}", 473_000 + number)
    facts = {**FACTS, "width": width, "height": height, "duration_s": 5.0 * (1 + number % 2)}
    video = type(kept)(**{**vars(kept), "facts": facts, "poster": clip.poster})
    stamp = f"2026-01-{1 + number % 28:02d}T00:00:00.000+00:00"
    return stored_task(fingerprint, f"t{number}", videos=(video,), stored_at=stamp)


_SCENES = (
    "a windy beach at noon, wide shot, gulls calling, the tide going out and children running after it",
    "the roofs of an old town in the evening, swallows, warm light, slow pan from left to right",
    "a mountain lake, mist rising from the water, a rowing boat, very quiet, telephoto, shallow focus",
)
