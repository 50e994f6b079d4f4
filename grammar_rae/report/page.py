"""The report's page: a Jinja template that escapes its input, with its style inside."""

from functools import cache

import jinja2


@cache
def template() -> jinja2.Template:
    """Compiled on first use."""
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(_PAGE)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b2330; --soft: #5c6675; --edge: #e1e5eb; }
@media (prefers-color-scheme: dark) {
  :root { --page: #11151b; --card: #1a2028; --ink: #e8ecf2; --soft: #9aa5b4; --edge: #2c3541; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.45;
  font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 2.2rem clamp(.9rem, 3vw, 2.5rem) 3rem; }
h1 { font-size: clamp(1.4rem, 3vw, 1.9rem); line-height: 1.2; margin: 0 0 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2.2rem 0 .8rem; }
h2 span { color: var(--soft); font-weight: 400; margin-left: .35rem; }
.facts { display: flex; flex-wrap: wrap; gap: 1px; margin: 0; background: var(--edge); border: 1px solid var(--edge);
  border-radius: 12px; overflow: hidden; }
.facts div { flex: 1 1 auto; min-width: min(100%, 8rem); max-width: 100%; padding: .75rem 1rem;
  background: var(--card); }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: .1rem 0 0; font-size: 1.12rem; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: .9rem; }
.charts > div { background: var(--card); border: 1px solid var(--edge); border-radius: 12px; }
.charts > div { padding: .8rem; }
svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.table { overflow-x: auto; background: var(--card); border: 1px solid var(--edge); border-radius: 12px;
  padding: .3rem clamp(.2rem, 2vw, .8rem); width: fit-content; min-width: min(100%, 26rem); max-width: 100%;
  break-inside: avoid; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem .6rem .4rem clamp(.6rem, 2vw, 1.6rem); white-space: nowrap;
  border-top: 1px solid var(--edge); }
th { color: var(--soft); font-weight: 400; font-size: .85rem; white-space: normal; vertical-align: bottom; }
tr:first-child > * { border-top: 0; }
th:first-child, td:first-child { text-align: left; white-space: normal; padding-left: .6rem; }
.none { color: var(--soft); max-width: 60rem; }
.remarks { color: var(--soft); margin: .9rem 0 0; padding-left: 1.2rem; }
footer { margin-top: 2.2rem; color: var(--soft); font-size: .85rem; }
footer p { margin: .3rem 0; }
pre { overflow-x: auto; margin: .3rem 0; padding: .6rem .8rem; background: var(--card); border: 1px solid var(--edge);
  border-radius: 8px; color: var(--ink); user-select: all; }
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --edge: #bbb; }
  main { padding: 0; max-width: none; }
}
</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% if facts %}
<dl class="facts">
{% for name, value in facts.items() %}
<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}
</dl>
{% endif %}
{% if remarks %}
<ul class="remarks">
{% for remark in remarks %}
<li>{{ remark }}</li>
{% endfor %}
</ul>
{% endif %}
{% for table in tables %}
<h2>{{ table.title }}</h2>
<div class="table" tabindex="0" role="region" aria-label="{{ table.title }}"><table>
{% if table.head | select | list %}
<tr>{% for cell in table.head %}<th>{{ cell }}</th>{% endfor %}</tr>
{% endif %}
{% for row in table.rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% if table.note %}
<p class="none">{{ table.note }}</p>
{% endif %}
{% endfor %}
{% if charts %}
<h2>{{ heading }}</h2>
<div class="charts">
{% for chart in charts %}
<div>{{ chart }}</div>
{% endfor %}
</div>
{% endif %}
<h2>{{ "Molecules" if kind == "molecules" else "Texts" }}<span>{{ "{:,}".format(n) }}</span></h2>
{{ cards }}
<footer>
{% if command %}
<p>This page again:</p>
<pre tabindex="0"><code>{{ command }}</code></pre>
{% endif %}
<p>{{ made }}</p>
</footer>
</main>
</body>
</html>
"""
