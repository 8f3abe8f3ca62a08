"""What a form of webhook declares: one YAML file, ``connectors/webhook/forms/<form>/form.yaml``.

Texts may hold ``{option:name}``, filled from the configuration, as in the declarations of pull connectors.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.engine.declaration import Option, Snapshot, Stream
from connectors.engine.declared_requests import Request
from connectors.mapping.model import When


class Hmac(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="hmac"):
    """An HMAC-SHA-256 in a header.

    Attributes:
        header: that holds the signature, or several.
        prefix: before a signature; others in the header are passed over.
        separator: between several signatures; "": there is one.
        encoding: of the signature.
        over: what is signed: ``{body}``, and headers as ``{header:name}``.
        timestamp: the signed header that says when it was sent, epoch seconds.
        tolerance_s: how far the timestamp may be from now.
        key: how a secret becomes the key: its text as it is, or what it says in base64.
        key_prefix: before the base64 of a secret.
    """

    header: str
    prefix: str = ""
    separator: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    over: str = "{body}"
    timestamp: str | None = None
    tolerance_s: float = 300.0
    key: Literal["text", "base64"] = "text"
    key_prefix: str = ""


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="token"):
    """The secret itself in a header, for senders that cannot sign: what is sent is as secret as the line is."""

    header: str = "Authorization"
    prefix: str = "Bearer "


class InPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="path"):
    """The secret as the last part of the address, for senders that can only be given an address."""


Signature = Hmac | Token | InPath


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of what is sent.

    Attributes:
        name: of it.
        what: one sentence for people.
        when: of the body: all must hold.
        explode: a column of the body that holds an array: every element becomes a record, the element as ``each``.
        id: columns that name the entity, check or answer.
        version: columns that name its version; where there are none, what is said of it.
        mapping: from record to events, in the language of file imports.
    """

    name: str
    what: str
    when: list[When] = []
    explode: str | None = None
    id: list[str]
    version: list[str] = []
    mapping: dict[str, Any]

    def stream(self) -> Stream:
        """Return it as a stream that nobody asks for: identities and events are made as those of pulled records."""
        return Stream(
            name=self.name, what=self.what, request=Request(path=""), cursor=Snapshot(), explode=self.explode,
            id=self.id, version=self.version, mapping=self.mapping,
        )  # fmt: skip


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole form.

    Attributes:
        name: of the form.
        title: the sender's name for people.
        what: one sentence: what it brings.
        tested: ``peer``: by the real sender; ``shapes``: by bodies of the documented shape only.
        setup: what to do at the sender, a sentence a step; ``{address}`` is the receiver's.
        limits: what it cannot see, one sentence each.
        options: what a configuration says under ``options``.
        signature: how a sender proves that it knows the secret.
        left_out: a column of the body with the number of records that the sender left out of it.
        cloudevents: the body is one event of ours or a batch of them, as CloudEvents in JSON; there is no ``told``.
        told: what is sent, by what it becomes.
    """

    name: str
    title: str
    what: str
    tested: Literal["peer", "shapes"] = "shapes"
    setup: list[str] = []
    limits: list[str] = []
    options: dict[str, Option] = {}
    signature: Signature
    left_out: str | None = None
    cloudevents: bool = False
    told: list[Told] = []
