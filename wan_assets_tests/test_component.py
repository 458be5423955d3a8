"""The component that declares a prompt table's assets in YAML."""

import dagster as dg
import pytest
from dagster_support import table_of, written

from wan_assets import WanVideosComponent


def test_a_table_is_declared_in_yaml(tmp_path):
    table = written(tmp_path, table_of("A kite"))
    component = WanVideosComponent.resolve_from_yaml(f"name: clips\nprompts: {table}\nbudget_usd_total: 25")

    definitions = component.build_defs(dg.ComponentTree.for_test().load_context)

    dg.Definitions.validate_loadable(definitions)
    keys = {key.to_user_string() for asset in definitions.assets for key in asset.keys}
    assert keys == {"clips", "clips_prompts", "clips_requests"}
    assert definitions.resources["ledger"].budget_usd_total == 25


def test_a_mistyped_attribute_is_refused_by_name():
    with pytest.raises(Exception, match="promts"):
        WanVideosComponent.resolve_from_yaml("name: clips\npromts: prompts.csv")
