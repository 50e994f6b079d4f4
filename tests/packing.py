"""Compressed bytes, as files hold them."""

import io

from grammar_rae.compression import COMPRESSIONS


def pack(blob: bytes, suffix: str, name: str = "molecules") -> bytes:
    """Bytes compressed as the suffix says; ``name`` is what a member is called."""
    buffer = io.BytesIO()
    with COMPRESSIONS[suffix].pack(buffer, name) as stream:
        stream.write(blob)
    return buffer.getvalue()
