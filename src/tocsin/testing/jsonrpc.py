"""JSON-RPC 2.0 from the server's side: framing, batches and errors, for nodes that are simulated."""

from collections.abc import Callable
from typing import Any, Final

import orjson

Json = dict[str, Any]
Method = Callable[[str, list[Any]], object]
"""Answers a method with its parameters; raises `Refusal` for an error."""

INVALID_REQUEST: Final = -32600
METHOD_MISSING: Final = -32601
INVALID_PARAMS: Final = -32602
PARSE_ERROR: Final = -32700
SERVER_ERROR: Final = -32000
"""What geth uses for everything else (go-ethereum rpc/errors.go)."""


class Refusal(Exception):  # noqa: N818 - a refusal is an answer
    """An error answer: its code and message go to the client, and data where there is any."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def error(request_id: object, code: int, message: str, data: object = None) -> Json:
    """Return an error answer."""
    body: Json = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return {"jsonrpc": "2.0", "id": request_id, "error": body}


def result(request_id: object, value: object) -> Json:
    """Return a result answer."""
    return {"jsonrpc": "2.0", "id": request_id, "result": value}


def _answer_one(request: object, method: Method) -> Json | None:
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0" or not isinstance(request.get("method"), str):
        request_id = request.get("id") if isinstance(request, dict) else None
        return error(request_id, INVALID_REQUEST, "invalid request")
    params = request.get("params", [])
    if not isinstance(params, list):
        return error(request.get("id"), INVALID_PARAMS, "non-array args")
    try:
        answer = result(request.get("id"), method(request["method"], params))
    except Refusal as refusal:
        answer = error(request.get("id"), refusal.code, refusal.message, refusal.data)
    return answer if "id" in request else None


def answer(body: bytes, method: Method) -> bytes:
    """Answer the body of a request, single or batch; empty when nothing in it wants an answer."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return orjson.dumps(error(None, PARSE_ERROR, "parse error"))
    if not isinstance(request, list):
        one = _answer_one(request, method)
        return b"" if one is None else orjson.dumps(one)
    if not request:
        return orjson.dumps(error(None, INVALID_REQUEST, "empty batch"))
    answers = [one for one in (_answer_one(entry, method) for entry in request) if one is not None]
    return orjson.dumps(answers) if answers else b""
