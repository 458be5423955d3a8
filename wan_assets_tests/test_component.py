"""The component that declares a prompt table's assets in YAML."""

import dagster as dg
import pytest
from dagster_support import table_of, written

from wan_assets import WanVideosComponent

YAML = """
type: wan_assets.WanVideosComponent
attributes:
  name: clips
  prompts: prompts.jsonl
"""


def loaded(folder, yaml):
    """The definitions of one `defs.yaml` in a folder."""
    component = WanVideosComponent.resolve_from_yaml(yaml.split("attributes:", 1)[1])
    context = dg.ComponentTree.for_test().load_context
    return component, context


def test_a_table_is_declared_in_yaml(tmp_path):
    written(tmp_path, table_of("A kite"))

    component, context = loaded(tmp_path, YAML.replace("prompts.jsonl", str(tmp_path / "prompts.jsonl")))
    definitions = component.build_defs(context)

    dg.Definitions.validate_loadable(definitions)
    keys = {key.to_user_string() for asset in definitions.assets for key in asset.keys}
    assert keys == {"clips", "clips_prompts"}


def test_a_mistyped_attribute_is_refused_by_name(tmp_path):
    with pytest.raises(Exception, match="promts"):
        loaded(tmp_path, YAML.replace("prompts:", "promts:"))
