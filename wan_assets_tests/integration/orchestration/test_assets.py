"""The assets in real Dagster runs, against the simulator."""

import dagster as dg
import pytest
from dagster_support import failure_of, materialized, studio, table_of, written

from wan_assets import PromptSource, PromptTable, build_video_assets
from wan_assets.ledger import Ledger

KEYS = {
    "dagster/uri",
    "wan_assets/cost_usd",
    "wan_assets/charged_usd",
    "wan_assets/reserved_usd",
    "wan_assets/task_uuid",
    "wan_assets/video_uuid",
    "wan_assets/seed",
    "wan_assets/fingerprint",
    "wan_assets/reused",
    "wan_assets/simulated",
    "wan_assets/width",
    "wan_assets/height",
    "wan_assets/duration_s",
    "wan_assets/has_audio",
    "wan_assets/sha256",
    "wan_assets/bytes",
    "wan_assets/generation_s",
    "wan_assets/prompt",
    "wan_assets/preview",
}


@pytest.mark.slow
def test_each_partition_is_recorded_with_its_own_cost_and_facts(tmp_path):
    rows = [
        {"prompt_id": "tall", "positive_prompt": "A kite", "width": 480, "height": 854, "seed": 7},
        {
            "prompt_id": "silent",
            "positive_prompt": "A boat",
            "width": 1280,
            "height": 720,
            "provider_settings": {"alibaba": {"audio": False}},
        },
    ]

    with studio(tmp_path) as studio_:
        result = studio_.run(written(tmp_path, rows))

    assert result.success
    found = materialized(result)
    assert set(found) == {"tall", "silent"}
    assert all(set(metadata) >= KEYS for metadata in found.values())
    assert (found["tall"]["wan_assets/width"], found["tall"]["wan_assets/height"]) == (480, 854)
    assert (found["tall"]["wan_assets/seed"], found["tall"]["wan_assets/has_audio"]) == ("7", True)
    assert found["silent"]["wan_assets/has_audio"] is False
    assert {metadata["wan_assets/cost_usd"] for metadata in found.values()} == {0.473}
    assert {metadata["wan_assets/charged_usd"] for metadata in found.values()} == {0.473}
    assert {metadata["wan_assets/reserved_usd"] for metadata in found.values()} == {0.0}
    assert all(metadata["wan_assets/simulated"] and not metadata["wan_assets/reused"] for metadata in found.values())


@pytest.mark.slow
def test_each_variant_is_a_partition_that_is_paid_once(tmp_path):
    path = written(tmp_path, [{"prompt_id": "kite", "positive_prompt": "A kite", "resolution": "480p", "seed": 7}])
    few, more = PromptSource(path, seeds=1), PromptSource(path, seeds=2, variants={"duration": [5, 10]})

    with studio(tmp_path) as studio_:
        studio_.run(few)
        first = studio_.run(more)
        again = studio_.run(more)

    assert set(materialized(first)) >= {f"kite~duration={s}~seed={seed}" for s in (5, 10) for seed in (7, 8)}
    (table,) = [
        event.step_materialization_data.materialization.metadata
        for event in first.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("videos_prompts")
    ]
    assert (table["dagster/row_count"].value, table["wan_assets/source_rows"].value) == (4, 1)
    charged = {key: metadata["wan_assets/charged_usd"] for key, metadata in materialized(first).items()}
    assert charged["kite~duration=5~seed=7"] == 0
    assert charged["kite~duration=5~seed=8"] > 0
    found = materialized(again).values()
    assert all(metadata["wan_assets/reused"] and not metadata["wan_assets/charged_usd"] for metadata in found)


@pytest.mark.slow
def test_an_unknown_cost_keeps_its_reservation_in_every_event(tmp_path):
    with studio(tmp_path, faults={"cost_missing": 1.0}) as studio_:
        path = written(tmp_path, table_of("A kite"))
        found = [materialized(studio_.run(path))["a"] for _ in range(2)]

    assert [metadata["wan_assets/cost_usd"] for metadata in found] == ["unknown", "unknown"]
    assert all(metadata["wan_assets/reserved_usd"] > 0.4 for metadata in found)
    assert [metadata["wan_assets/reused"] for metadata in found] == [False, True]


def test_the_preview_is_short_enough_to_be_shown_without_a_click(tmp_path):
    with studio(tmp_path) as studio_:
        result = studio_.run(written(tmp_path, table_of("![x](javascript:alert(1)) <script>alert(1)</script>" * 10)))

    preview = materialized(result)["a"]["wan_assets/preview"]
    assert preview.startswith("![poster](data:image/webp;base64,")
    assert len(preview) < 1000
    assert "script" not in preview


@pytest.mark.slow
def test_a_second_run_records_every_row_as_reused_and_sends_nothing(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat"))
    with studio(tmp_path) as studio_:
        studio_.run(path)
        sent = studio_.simulator.journal.submissions()

        result = studio_.run(path)

        assert result.success
        assert studio_.simulator.journal.submissions() == sent
    assert [metadata["wan_assets/reused"] for metadata in materialized(result).values()] == [True, True]
    assert {metadata["wan_assets/charged_usd"] for metadata in materialized(result).values()} == {0.0}
    assert {metadata["wan_assets/cost_usd"] for metadata in materialized(result).values()} == {0.473}


@pytest.mark.slow
def test_one_refused_row_leaves_the_others_green_and_is_sent_again_alone_and_on_request(tmp_path):
    path = written(tmp_path, table_of(*(f"Clip {number}" for number in range(12))))
    with studio(tmp_path, faults={"verdict_safety": 0.2}, seed=3) as studio_:
        result = studio_.run(path)

        green = materialized(result)
        failed = {chr(ord("a") + number) for number in range(12)} - set(green)
        sent = studio_.simulator.journal.submissions()
        assert not result.success
        assert 0 < len(failed) < 12
        assert all(f"{key}: ContentBlockedError [invalidProviderContent]" in failure_of(result) for key in failed)
        assert "Change the prompt" in failure_of(result)

        again = studio_.run(path)
        sent_again = studio_.simulator.journal.submissions()
        studio_.run(path, config={"resend_refused": True})

        assert studio_.simulator.journal.submissions() == sent + len(failed)
    assert sent_again == sent
    assert all(f"{key}: ContentBlockedError [invalidProviderContent]" in failure_of(again) for key in failed)


@pytest.mark.slow
def test_what_dagster_shows_adds_up_to_the_ledger_and_to_the_account(tmp_path):
    rows = [*table_of("A", "B", "C"), {**table_of("A")[0], "prompt_id": "twin"}]
    with studio(tmp_path) as studio_:
        found = materialized(studio_.run(written(tmp_path, rows)))

        charged = studio_.simulator.journal.spent_microusd()

    shown = round(sum(metadata["wan_assets/charged_usd"] for metadata in found.values()) * 1e6)
    booked = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}").totals().simulated.cost_microusd
    assert len(found) == 4
    assert shown == booked == charged == 3 * 473_000


def test_no_row_is_sent_while_any_row_has_a_problem(tmp_path):
    path = written(tmp_path, [*table_of("A kite"), {"prompt_id": "bad", "positive_prompt": "B", "width": 1}])
    with studio(tmp_path) as studio_:
        both = studio_.run(path)
        alone = studio_.run(path, only="videos")

        assert studio_.simulator.journal.submissions() == 0
    assert not both.success
    assert not alone.success
    assert [check.passed for check in both.get_asset_check_evaluations()] == [False]
    assert "row 2" in failure_of(alone)
    assert "height" in failure_of(alone)


def test_the_table_asset_adds_and_retires_partitions(tmp_path):
    with studio(tmp_path) as studio_:
        studio_.run(written(tmp_path, table_of("A", "B", "C")), only="videos_prompts")
        studio_.run(written(tmp_path, table_of("A", "B")), only="videos_prompts")

        assert set(studio_.instance.get_dynamic_partitions("videos")) == {"a", "b"}


def test_a_row_that_left_the_table_fails_by_name_and_harms_no_other(tmp_path):
    table = PromptTable.load(written(tmp_path, table_of("A", "B")))
    with studio(tmp_path) as studio_:
        studio_.instance.add_dynamic_partitions("videos", ["a", "b", "gone"])

        result = dg.materialize(
            list(build_video_assets(prompts=table).assets or ()),
            instance=studio_.instance,
            resources=studio_.resources(),
            selection="videos",
            raise_on_error=False,
            tags={"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "gone"},
        )

    assert set(materialized(result)) == {"a", "b"}
    assert "gone" in failure_of(result)


@pytest.mark.slow
def test_regenerate_buys_each_row_again_once_under_its_name(tmp_path):
    path = written(tmp_path, table_of("A", "B"))
    with studio(tmp_path) as studio_:
        studio_.run(path)

        studio_.run(path, config={"regenerate": "new-look"})
        studio_.run(path, config={"regenerate": "new-look"})
        plain = studio_.run(path)

        assert len(studio_.simulator.journal.charges()) == 4
    assert all(metadata["wan_assets/reused"] for metadata in materialized(plain).values())


@pytest.mark.slow
def test_rows_beyond_the_budget_are_not_sent_and_are_named(tmp_path):
    path = written(tmp_path, table_of("A", "B", "C", resolution="720p"))
    with studio(tmp_path) as studio_:
        result = studio_.run(path, budget_usd_per_run=1.0)

        assert len(studio_.simulator.journal.charges()) == 2
    assert len(materialized(result)) == 2
    assert "skipped: the " in failure_of(result)


def test_an_unusable_store_fails_before_anything_is_sent(tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with studio(tmp_path) as studio_:
        result = studio_.run(written(tmp_path, table_of("A")))

        assert studio_.simulator.journal.submissions() == 0
    assert not result.success
    assert "StoreError" in failure_of(result)


def test_a_wrong_key_is_told_once_with_advice_and_the_key_is_told_nowhere(tmp_path):
    with studio(tmp_path, api_key="the-right-key") as studio_:
        result = studio_.run(written(tmp_path, table_of("A", "B")))

        assert studio_.simulator.journal.charges() == []
    assert "AccessDeniedError [invalidApiKey]" in failure_of(result)
    assert "RUNWARE_API_KEY" in failure_of(result)
    assert "a-key-for-tests" not in "".join(map(str, result.all_events))


def test_a_data_frame_serves_as_a_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"prompt_id": ["x"], "positive_prompt": ["A kite"], "resolution": ["480p"]})

    with studio(tmp_path) as studio_:
        result = studio_.run(frame)

    assert set(materialized(result)) == {"x"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "submissions"),
    [
        ({"faults": {"verdict_safety": 1.0}}, 1),
        ({"faults": {"verdict_error": 1.0}}, 3 * 3),
        ({"api_key": "another-key"}, 0),
    ],
    ids=["a refusal is final", "a failure may pass", "a key is for a person"],
)
def test_a_retry_policy_repeats_what_may_pass_and_nothing_that_a_person_has_to_mend(tmp_path, behaviour, submissions):
    path = written(tmp_path, table_of("A", "B", "C"))
    with studio(tmp_path) as studio_:
        studio_.run(path, only="videos")
    path = written(tmp_path, table_of("A", "B", "C", "D"))
    with studio(tmp_path, **behaviour) as studio_:
        before = studio_.simulator.journal.submissions()
        studio_.instance.add_dynamic_partitions("videos", list("abcd"))

        result = dg.materialize(
            list(build_video_assets(prompts=path, retry_policy=dg.RetryPolicy(max_retries=2)).assets or ()),
            instance=studio_.instance,
            resources=studio_.resources(),
            selection="videos",
            raise_on_error=False,
            tags={"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "d"},
        )

        assert studio_.simulator.journal.submissions() - before == submissions
    assert not result.success
    assert set(materialized(result)) == set("abc")


@pytest.mark.slow
def test_rows_of_a_higher_priority_are_sent_first(tmp_path):
    rows = table_of("A", "B", "C", "D", resolution="720p")
    for row, priority in zip(rows, ("", -1, 5, 2), strict=True):
        row["priority"] = priority
    with studio(tmp_path) as studio_:
        studio_.run(written(tmp_path, rows), budget_usd_total=0.97)

        sent = studio_.simulator.journal.rows("SELECT json_extract(request, '$.positivePrompt') FROM tasks")

    assert {prompt for (prompt,) in sent} == {"C", "D"}


@pytest.mark.slow
def test_a_video_tells_the_row_it_was_made_for(tmp_path):
    with studio(tmp_path) as studio_:
        found = materialized(studio_.run(written(tmp_path, table_of("A", "B"))))

    assert [found[key]["wan_assets/row"] for key in "ab"] == ["1", "2"]
