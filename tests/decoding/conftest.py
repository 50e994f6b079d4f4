"""What the tests of decoding share as fixtures; see also ``scripted.py``."""

import pytest
from decoding.scripted import CODECS, codec_of


@pytest.fixture(scope="session", params=CODECS)
def codec(request):
    """Each codec in turn: grammars with and without macros, and characters."""
    return codec_of(request.param)
