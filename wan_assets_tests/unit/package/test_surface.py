"""What users may rely on: the names, that each says what it is, and that the examples do what they say."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import wan_assets

NAMES = [
    "ApprovalPolicy",
    "ApprovalRule",
    "ApprovedVideos",
    "Budget",
    "BudgetAlert",
    "ExportOptions",
    "GeneratedRow",
    "LedgerResource",
    "PromptSource",
    "PromptTable",
    "RunwareResource",
    "SimulatedRunwareResource",
    "UpstreamPrompts",
    "Video",
    "VideoCheckResult",
    "VideoGeneration",
    "VideoGenerator",
    "VideoRequest",
    "VideoStoreResource",
    "WanVideosComponent",
    "__version__",
    "build_budget_sensor",
    "build_dataset_assets",
    "build_export_asset",
    "build_lost_run_sensor",
    "build_missing_job",
    "build_review_sensor",
    "build_video_assets",
    "build_video_checks",
    "build_video_sensor",
    "load_videos",
    "video_check",
]
ROOT = Path(wan_assets.__file__).parents[1]
MODULES = sorted(module.name for module in pkgutil.walk_packages(wan_assets.__path__, "wan_assets."))


def test_the_public_names_are_these() -> None:
    assert sorted(wan_assets.__all__) == NAMES
    assert set(NAMES) <= set(dir(wan_assets))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_each_public_name_says_what_it_is(name: str) -> None:
    said = getattr(wan_assets, name).__doc__ or ""

    assert len(said.split()) >= 4
    assert said.strip().splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_each_public_name_documents_its_parameters_and_has_an_example(name: str) -> None:
    documented = getattr(wan_assets, name)
    said = inspect.getdoc(documented) or ""
    is_model = isinstance(documented, type) and hasattr(documented, "model_fields")
    parameters = documented.model_fields if is_model else inspect.signature(documented).parameters
    bases = [base for base in inspect.getmro(documented)[1:] if base.__name__ in NAMES] if is_model else []
    parameters = [name for name in parameters if not any(name in base.model_fields for base in bases)]

    sections = re.findall(r"^(\w+):$", said, re.MULTILINE)
    expected = ["Args", "Returns", "Raises", "Example"] if inspect.isfunction(documented) else ["Args", "Example"]
    assert [section for section in sections if section in expected] == expected
    assert not [parameter for parameter in parameters if not re.search(rf"^    \**{parameter}: ", said, re.MULTILINE)]
    assert re.search(rf">>> .*\b{name}\b", said)


@pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="the documentation is beside the package in the repository only"
)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("__version__", "WanVideosComponent")])
def test_each_public_name_is_in_an_example_that_the_tests_run(name: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    examples = "".join(re.findall(r"```python\n(.*?)```", "".join(page.read_text() for page in pages), re.DOTALL))
    own = getattr(wan_assets, name).__doc__ or ""

    assert re.search(rf"\b{name}\b", examples) or re.search(rf">>> .*\b{name}\b", own)


@pytest.mark.slow
def test_the_examples_in_docstrings_do_what_they_say() -> None:
    tried = 0
    for name in MODULES:
        if name != "wan_assets.definitions" and not name.endswith(("__main__", ".child")):
            result = doctest.testmod(importlib.import_module(name))
            assert not result.failed, name
            tried += result.attempted

    assert tried >= 3


def test_nothing_private_of_dagster_is_imported() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(wan_assets.__file__).parent.rglob("*.py")]

    assert not [found for source in sources for found in re.findall(r"dagster\._\w+", source)]
