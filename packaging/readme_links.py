"""README as a package index shows it: its relative links, which mean nothing there, become addresses or plain text.

Hatchling runs the hook whenever it builds. The setting ``repository`` in pyproject.toml is the repository's address,
which a release names; without one the words of a link stay and its target goes, and pictures go.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^\[\]]*)\]\((?![a-z]+:|#)(?P<target>[^()\s]+)\)")
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def with_addresses(text: str, repository: str, version: str) -> str:
    """A page in Markdown whose relative links lead into a repository's tag of a version, or nowhere without one."""

    def replace(link: re.Match[str]) -> str:
        if not repository:
            return "" if link["picture"] else link["words"]
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['words']}]({repository.rstrip('/')}/{kind}/v{version}/{link['target']})"

    # Between fences there is code.
    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(replace, part) for part in parts)


class ReadmeLinks(MetadataHookInterface):
    """Hatchling's hook, which sets the field ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the field."""
        root = Path(self.root)
        version = _VERSION.search((root / "grammar_rae" / "__init__.py").read_text("utf-8"))
        assert version is not None, "grammar_rae/__init__.py holds no version"
        text = (root / "README.md").read_text("utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_addresses(text, self.config.get("repository", ""), version[1]),
        }
