"""The options of an asset in YAML."""

from typing import Annotated, Any, cast

import dagster as dg
from pydantic import ConfigDict, Field

from wan_assets.orchestration.asset_options import AssetOptions

Condition = Annotated[
    dg.AutomationCondition[dg.AssetKey] | None, dg.Resolver.default(model_field_type=str | None)  # a template
]


class AssetAttributes(dg.Model, dg.Resolvable):
    """Options of an asset, with the names and meanings of `dagster.asset`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    deps: list[str] | None = Field(default=None, description="Keys of further upstream assets: warehouse/scripts.")
    owners: list[str] | None = Field(default=None, description="Owners: email addresses, or team:name.")
    tags: dict[str, str | int | float | bool] | None = Field(default=None, description="Tags of the asset.")
    metadata: dict[str, Any] | None = Field(default=None, description="Metadata of the definition.")
    description: str | None = Field(default=None, description="The description, instead of the default one.")
    kinds: list[str] | None = Field(default=None, description="Up to three kinds, instead of the default ones.")
    group_name: str | None = Field(default=None, description="The asset group; videos by default.")
    automation_condition: Condition = Field(
        default=None, description="When Dagster materializes it: '{{ dg.AutomationCondition.eager() }}'."
    )

    def options(self) -> AssetOptions:
        """Returns the options that are given."""
        given = {name: getattr(self, name) for name in AssetAttributes.model_fields}
        options = {name: value for name, value in given.items() if value is not None}
        if self.tags:
            options["tags"] = {name: str(value) for name, value in self.tags.items()}
        return cast(AssetOptions, options)
