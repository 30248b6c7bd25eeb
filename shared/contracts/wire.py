"""Messages as stream entries: flat fields for people with redis-cli, JSON in `data` for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shared.contracts import bounds
from shared.contracts.message import Message
from shared.contracts.orders import ClaimReply
from shared.contracts.streams import MESSAGE_TYPES, stream_for

VERSION: Final = 1
MAX_BYTES: Final = 8_000_000
_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")
_REPLY: Final = msgspec.json.Decoder(ClaimReply)
_DECODERS: Final = {name: msgspec.json.Decoder(kind) for name, kind in MESSAGE_TYPES.items()}


class Unreadable(ValueError):
    """A stream entry that is not a message of ours; its text is the reason for the dead letter."""


def encode_json(value: Any) -> bytes:
    """Any struct of ours as JSON; Decimals as strings, times as ISO 8601."""
    return _ENCODER.encode(value)


def encode(message: Message) -> dict[str, str | bytes]:
    """The flat fields of one stream entry."""
    return {
        "type": type(message).__name__,
        "v": str(VERSION),
        "id": message.id,
        "at": message.at.isoformat(),
        "cause": message.cause,
        "data": _ENCODER.encode(message),
    }


def decode(fields: Mapping[bytes, bytes], stream: str = "") -> Message:
    """The message in one stream entry, as redis-py gives it. Raises Unreadable, with the reason, for anything else.

    stream: where it stood, `bars:3`; a message that another stream carries is refused: who may write to one stream
    may not say there what only others may say.
    """
    try:
        kind = fields[b"type"].decode()
        version = int(fields[b"v"])
        data = fields[b"data"]
    except (KeyError, ValueError) as fault:
        raise Unreadable(f"entry without a readable type, v and data: {fault}") from fault
    if version < 1:
        raise Unreadable(f"version {version} of {kind[:60]!r}")
    if version > VERSION:
        raise Unreadable(f"version {version} of {kind[:60]!r} is newer than this program's {VERSION}")
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise Unreadable(f"unknown type {kind[:60]!r}")
    if len(data) > MAX_BYTES:
        raise Unreadable(f"{kind} of {len(data)} bytes; at most {MAX_BYTES}")
    try:
        message: Message = decoder.decode(data)
        bounds.check(message)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as fault:
        raise Unreadable(f"{kind}: {fault}") from fault
    if stream and stream_for(message) != stream:
        raise Unreadable(f"{kind} does not belong on {stream}; {stream_for(message)} carries it")
    return message


def decode_reply(body: bytes) -> ClaimReply:
    """State's answer to a claim. Raises Unreadable."""
    try:
        if len(body) > MAX_BYTES:
            raise ValueError(f"{len(body)} bytes")
        reply = _REPLY.decode(body)
        bounds.check(reply)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as fault:
        raise Unreadable(f"answer to a claim: {fault}") from fault
    return reply
