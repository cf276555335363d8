"""What all tables of the configuration have in common."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """Strict: no key that is not known, no value of another kind, and never a value in a message."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        populate_by_name=False,
        use_attribute_docstrings=True,
        serialize_by_alias=True,
    )
