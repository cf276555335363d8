"""What payloads are made of: names, blocks, counters, and the strictness of all of them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
Hash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
Height = Annotated[int, Field(ge=0, lt=2**53)]
Time = Annotated[
    str,
    Field(
        description="RFC 3339, UTC, six digits of a second.",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        json_schema_extra={"format": "date-time"},
    ),
]
Counter = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Unknown fields and other types are refused: a field never appears unnoticed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Block(Strict):
    """A block by height and hash."""

    number: Height
    hash: Hash
