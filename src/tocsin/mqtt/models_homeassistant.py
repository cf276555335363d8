"""What Home Assistant is told, as pydantic models: its own schema, as far as we use it.

Source: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload and the pages of the platforms
(`sensor.mqtt`, `binary_sensor.mqtt`, `event.mqtt`). It is no event of ours, and no part of the wire contract.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1)]
Topic = Annotated[str, Field(pattern=r"^[^#\x00]+$", description="To subscribe to.")]
Template = Annotated[str, Field(pattern=r"\{\{.*\}\}", description="Jinja, over `value_json`.")]
Key = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class HomeDevice(_Strict):
    """What the entities belong to."""

    identifiers: Annotated[list[Key], Field(min_length=1)]
    name: Text
    manufacturer: Text
    model: Text
    sw_version: Text
    via_device: Annotated[Key | None, Field(description="Identifier of the watchdog's device.")] = None


class HomeOrigin(_Strict):
    """Who tells; required for device discovery."""

    name: Text
    sw_version: Text


class HomeAvailability(_Strict):
    """Whether the watchdog lives: the template gives `online` or `offline`."""

    topic: Topic
    value_template: Template


class _Entity(_Strict):
    name: Text
    unique_id: Key
    state_topic: Topic
    value_template: Template
    availability: Annotated[list[HomeAvailability] | None, Field(description="Instead of the device's.")] = None
    enabled_by_default: bool | None = None
    entity_category: Literal["diagnostic"] | None = None
    json_attributes_topic: Topic | None = None
    json_attributes_template: Template | None = None


class HomeSensor(_Entity):
    """A value. `enum` has `options` and neither unit nor class of state; a duration has a unit."""

    platform: Literal["sensor"]
    device_class: Literal["enum", "duration"] | None = None
    options: Annotated[list[Text], Field(min_length=1)] | None = None
    state_class: Literal["measurement"] | None = None
    unit_of_measurement: Text | None = None
    expire_after: Annotated[int | None, Field(ge=1, description="Seconds.")] = None

    @model_validator(mode="after")
    def _consistent(self) -> "HomeSensor":
        is_enum = self.device_class == "enum"
        if is_enum is not (self.options is not None) or (is_enum and (self.state_class or self.unit_of_measurement)):
            raise ValueError("options go with the class enum, and a unit or a class of state does not")
        if self.device_class == "duration" and self.unit_of_measurement not in ("s", "ms"):
            raise ValueError("a duration has a unit of time")
        return self


class HomeBinarySensor(_Entity):
    """Something that is or is not: the template gives `ON` or `OFF`."""

    platform: Literal["binary_sensor"]
    device_class: Literal["problem", "connectivity"]
    expire_after: Annotated[int | None, Field(ge=1, description="Seconds.")] = None
    off_delay: Annotated[int | None, Field(ge=1, description="Seconds after which it is off by itself.")] = None


class HomeEvent(_Entity):
    """Something that happens: the template gives an object with `event_type`, or nothing."""

    platform: Literal["event"]
    event_types: Annotated[list[Text], Field(min_length=1)]


class HomeAssistantDiscovery(_Strict):
    """One device for Home Assistant, retained on `<prefix>/device/<id>/config`."""

    device: HomeDevice
    origin: HomeOrigin
    availability: Annotated[list[HomeAvailability], Field(min_length=1)]
    qos: Literal[0, 1, 2]
    components: dict[Key, Annotated[HomeSensor | HomeBinarySensor | HomeEvent, Field(discriminator="platform")]]
