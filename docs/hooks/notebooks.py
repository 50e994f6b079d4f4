"""Notebooks as pages of the site: their text, their code, and the outputs that were stored with them. Nothing is run.

MkDocs calls :func:`on_files` before it reads the pages, :func:`on_page_markdown` with the text of each, and
:func:`on_page_content` when it is HTML. Outputs are put in then, because Markdown would change them.
"""

import html
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FOLDER = Path(__file__).parents[2] / "notebooks"
PLACE = '<div data-output="{}"></div>'
FRAME = re.compile(r"<style scoped>.*?</style>|(?<=<table) [^>]*", re.S)
"""What pandas adds to a table, and the site's style would not expect."""

Notebook = dict[str, Any]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """A page for each notebook."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        text = write_markdown(path.name, read(path))
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to notebooks, which lead to files in the repository, lead to their pages on the site."""
    up = "../" * page.file.src_uri.count("/")
    return re.sub(rf"\]\({up}\.\./notebooks/(\w+)\.ipynb", rf"]({up}notebooks/\1.md", markdown)


def on_page_content(page_html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The outputs in their places."""
    path = FOLDER / Path(page.file.src_uri).with_suffix(".ipynb").name
    if not page.file.src_uri.startswith("notebooks/") or not path.is_file():
        return page_html
    for number, output in enumerate(outputs_of(read(path))):
        page_html = page_html.replace(PLACE.format(number), show(output))
    return page_html


def read(path: Path) -> Notebook:
    """A notebook of version 4."""
    notebook: Notebook = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def write_markdown(name: str, notebook: Notebook) -> str:
    """The cells as Markdown, with a place for each output and a line on where the notebook is."""
    parts: list[str] = []
    number = 0
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(lead_links(source))
            continue
        parts.append(f"```python\n{source}\n```")
        for _ in cell.get("outputs", []):
            parts.append(PLACE.format(number))
            number += 1
    parts.insert(1, f"*The notebook with its stored outputs; `jupyter lab notebooks/{name}` runs it.*")
    return "\n\n".join(parts) + "\n"


def lead_links(text: str) -> str:
    """Links to pages of the site, other notebooks among them, as such; other links as their words and a file's name."""
    text = re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", text)
    text = re.sub(r"\[[^\]]*\]\(\.\./docs/([^)]+)\)", lambda link: f"[{link[1]}](../{link[1]})", text)
    return re.sub(r"\[([^\]]*)\]\(\.\./((?:data|benchmarks|grammar_rae)/[^)]+)\)", r"\1 (`\2`)", text)


def outputs_of(notebook: Notebook) -> list[dict[str, Any]]:
    """All outputs, in the order of their places."""
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def show(output: dict[str, Any]) -> str:
    """An output as HTML: the richest form that a page can have."""
    data = {kind: "".join(parts) for kind, parts in output.get("data", {}).items()}
    if "text/html" in data:
        inner = FRAME.sub("", data["text/html"]) if 'class="dataframe"' in data["text/html"] else data["text/html"]
    elif "image/svg+xml" in data:
        inner = data["image/svg+xml"]
    elif "image/png" in data:
        inner = f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="What the code above draws">'
    else:
        inner = f"<pre>{html.escape(data.get('text/plain', ''.join(output.get('text', []))))}</pre>"
    return f'<div class="output" data-search-exclude>{inner}</div>'
