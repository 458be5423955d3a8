"""What Dagster shows of videos: thumbnails that open the video, frames, contact sheets; and text that stays text."""

import re
from pathlib import Path
from typing import Any

from dagster_support import materialized, studio, table_of, written
from test_batches import rows_of
from test_batches import run as run_batches

from wan_assets import VideoStoreResource

NASTY = "![x](http://evil.example/x.png) [a](javascript:alert(1)) <script> www.evil.example | `code` & *bold*"


def test_a_thumbnail_opens_the_video_where_the_store_is_served(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.resources["store"] = VideoStoreResource(root=str(tmp_path / "store"), served_at="http://127.0.0.1:3070/")
        found = materialized(made.run(written(tmp_path, table_of("A kite"))))["a"]

    link = "http://127.0.0.1:3070/" + "/".join(found["dagster/uri"].split("/")[-4:])
    assert found["wan_assets/video"] == link
    assert re.fullmatch(rf"\[!\[poster\]\(data:image/webp;base64,[\w+/=]+\)\]\({link}\) SIMULATED", found["wan_assets/preview"])
    assert len(found["wan_assets/preview"]) < 1000
