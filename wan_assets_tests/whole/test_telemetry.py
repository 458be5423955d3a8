"""What OpenTelemetry's own SDK gets of runs: figures that are the ledger's, and no words of prompts or addresses."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_double import Prepared
from bent_api import SUBMIT, Call, bent
from engine_support import jobs_of
from folders import SUPPORT
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from patience import PATIENCE_S

from wan_assets.engine import Limits

READER, SPANS = InMemoryMetricReader(), InMemorySpanExporter()


def provide() -> None:
    """A process has one provider of each kind, which cannot be replaced."""
    metrics.set_meter_provider(MeterProvider(metric_readers=[READER]))
    spans = TracerProvider()
    spans.add_span_processor(SimpleSpanProcessor(SPANS))
    trace.set_tracer_provider(spans)


def measured() -> dict[str, dict[str, Any]]:
    """The points of each instrument by their attributes, as sums over this process."""
    data = READER.get_metrics_data()
    found: dict[str, dict[str, Any]] = {}
    for metric in (
        metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    ):
        points = {" ".join(map(str, point.attributes.values())): point for point in metric.data.data_points}
        found[f"{metric.name} {metric.unit}"] = points
    return found


def refusing(call: Call) -> Prepared | None:
    if call.kind != SUBMIT or call.number != 1:
        return None
    said = {"code": "invalidPositivePrompt", "message": "no", "taskUUID": call.task_uuid}
    return Prepared({"errors": [said]}, 400)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[Any], Any]]:
    """Two runs: one of three rows, of which the first that comes is refused, and one that sends it again."""
    provide()
    with bent(tmp_path_factory.mktemp("telemetry"), refusing) as made:
        again = Limits(max_wait_s=20, resend_refused=True)
        outcomes = [made.run(jobs_of(3)), made.run(jobs_of(3), limits=again)]
        SPANS.shutdown()  # what else runs in this process is not looked at
        yield made, outcomes, measured()


def test_figures_are_those_of_the_ledger(runs: tuple[Any, list[Any], Any]) -> None:
    made, _, found = runs
    (spent,) = found["wan_assets.spend {microdollar}"].values()
    (generation,) = found["wan_assets.engine.duration s"].values()
    (in_flight,) = found["wan_assets.tasks.in_flight {task}"].values()
    rows = {verdict: point.value for verdict, point in found["wan_assets.rows {row}"].items()}

    assert spent.value == made.ledger().totals().simulated.cost_microusd > 0
    assert dict(spent.attributes) == {"money": "simulated"}
    assert generation.count == 3
    assert in_flight.value == 0
    refused = "simulated RequestRejectedError invalidPositivePrompt"
    assert rows == {"simulated stored": 3, "simulated reused": 2, refused: 1}


def test_each_run_is_a_span_and_each_new_video_one_within(runs: tuple[Any, list[Any], Any]) -> None:
    spans = SPANS.get_finished_spans()
    made = [span for span in spans if span.name == "generate"]
    videos = [span for span in spans if span.name == "video"]

    assert len(made) == 2
    landed = [{one.stored.task_uuid for one in outcomes if one.is_new} for outcomes in runs[1]]
    assert [_told_in(span, videos) for span in made] == landed
    assert all(0 < (span.end_time - span.start_time) / 1e9 < 60 for span in videos)
    assert [event.name for event in made[0].events] == ["no video"]


def _told_in(run: Any, videos: list[Any]) -> set[str]:
    """The tasks of the videos that a run's span holds."""
    within = [video for video in videos if video.parent.span_id == run.context.span_id]
    return {video.attributes["wan_assets.task_uuid"] for video in within}


@pytest.mark.usefixtures("runs")
def test_no_prompt_and_no_address_is_told() -> None:
    reported = "".join(span.to_json() for span in SPANS.get_finished_spans()) + READER.get_metrics_data().to_json()

    assert "Kite" not in reported
    assert "http" not in reported.replace("http://schemas", "").replace("https://opentelemetry.io", "")


def test_without_opentelemetry_everything_works_and_says_nothing(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["opentelemetry"] = None
from engine_support import jobs_of, studio
from pathlib import Path
with studio(Path(sys.argv[1])) as made:
    print(all(outcome.stored for outcome in made.run(jobs_of(2))))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=SUPPORT, check=True, capture_output=True, text=True, timeout=PATIENCE_S)

    assert done.stdout.strip() == "True"
