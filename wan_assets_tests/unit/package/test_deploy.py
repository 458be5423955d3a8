"""The files of `deploy/`: valid as compose and the chart have it, and agreed on what they hand to each other."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
import yaml
from folders import REPOSITORY
from postgres_support import USER, Cluster

from wan_assets.cli import cli

DEPLOY = REPOSITORY / "deploy"
OF_DAGSTER = {"webserver", "daemon", "worker", "files"}

CHART: dict[str, Any] = {
    "dagster-user-deployments": {"enabled", "enableSubchart", "deployments", "imagePullSecrets"},
    "runLauncher": {"type", "config"},
    "dagsterDaemon": {"enabled", "runCoordinator", "runMonitoring", "runRetries"},
    "global": {"postgresqlSecretName"},
    "postgresql": {
        *("enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "postgresqlScheme", "service"),
    },
    "telemetry": {"enabled"},
}
"""What of the chart's values is set here; whatever else stands in the file, Helm would pass over in silence."""

DEPLOYMENT = {
    *("name", "image", "dagsterApiGrpcArgs", "port", "env", "envSecrets", "volumes", "volumeMounts"),
    "includeConfigInLaunchedRuns",
}
LAUNCHER = {
    *("imagePullPolicy", "loadInclusterConfig", "envConfigMaps", "envSecrets", "envVars"),
    *("volumeMounts", "volumes", "resources", "runK8sConfig"),
}


def loaded(name: str) -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def named_in(name: str, pattern: str) -> set[str]:
    """The environment variables that a file reads."""
    return set(re.findall(pattern, (DEPLOY / name).read_text(encoding="utf-8")))


def test_compose_is_what_the_specification_allows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, DEPLOY / "compose.yaml"], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_compose_sets_all_that_dagster_and_its_workers_read() -> None:
    read = named_in("dagster.yaml", r"\{env: (\w+)\}") | named_in("dagster_celery_config.py", r'environ\["(\w+)"\]')

    for name in OF_DAGSTER:
        assert read <= loaded("compose.yaml")["services"][name]["environment"].keys()


@pytest.mark.slow
def test_dagster_takes_its_settings_from_the_environment(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    said = {"PORT": str(postgres.port), "HOST": "127.0.0.1", "USERNAME": USER, "PASSWORD": "none-is-asked-for"}
    broker = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "CELERY_RESULT_BACKEND": "redis://127.0.0.1:1/1"}
    with postgres.database() as url:
        said |= {"DB": url.rpartition("/")[2]}
        for name, value in ({f"DAGSTER_PG_{name}": said[name] for name in said} | broker | {"WORKERS": "3"}).items():
            monkeypatch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            assert instance.get_runs() == []
            assert instance.run_launcher.broker == broker["CELERY_BROKER_URL"]
            assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 3
            assert (instance.run_retries_max_retries, instance.run_retries_retry_on_asset_or_op_failure) == (3, False)


def test_compose_has_as_many_workers_as_runs_at_once() -> None:
    services = loaded("compose.yaml")["services"]

    assert services["worker"]["deploy"]["replicas"] == services["daemon"]["environment"]["WORKERS"]
    assert services["worker"]["command"][services["worker"]["command"].index("--concurrency") + 1] == "1"


def test_compose_starts_commands_that_exist() -> None:
    started = [service.get("command", [""]) for service in loaded("compose.yaml")["services"].values()]
    names = {command[1] for command in started if command[0] == "wan-assets"}

    assert names
    assert names <= set(cli.list_commands(click.Context(cli)))


def test_compose_has_no_secret_of_its_own_and_asks_for_all_that_the_example_names() -> None:
    asked = named_in("compose.yaml", r"\$\{(\w+):\?\}")

    assert asked == named_in(".env.example", r"(?m)^(\w+)=")
    assert {"RUNWARE_API_KEY", "POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY"} <= asked


def test_compose_shows_its_pages_to_this_machine_alone() -> None:
    ports = [port for service in loaded("compose.yaml")["services"].values() for port in service.get("ports", ())]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_compose_copies_into_the_image_is_there() -> None:
    copied = re.findall(r"deploy/[\w.]+", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))

    assert sorted(copied) == ["deploy/dagster.yaml", "deploy/dagster_celery_config.py"]
    assert all((DEPLOY.parent / name).is_file() for name in copied)


def test_the_chart_s_values_have_no_name_that_the_chart_does_not_know() -> None:
    values = loaded("helm-values.yaml")

    assert values.pop("generatePostgresqlPasswordSecret") is False
    assert values.keys() <= CHART.keys()
    for name, known in CHART.items():
        assert values[name].keys() <= known
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment.keys() <= DEPLOYMENT
    launcher = values["runLauncher"]
    assert launcher["type"] == "K8sRunLauncher"
    assert launcher["config"].keys() == {"k8sRunLauncher"}
    assert launcher["config"]["k8sRunLauncher"].keys() <= LAUNCHER


@pytest.mark.parametrize("name", ["compose.yaml", "helm-values.yaml"])
def test_image_tags_are_pinned(name: str) -> None:
    images = re.findall(r"image: ([\w./-]+:\S+)", (DEPLOY / name).read_text(encoding="utf-8"))

    assert not [image for image in images if image.endswith(":latest")]
