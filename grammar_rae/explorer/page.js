"use strict";
// The page's own script: plain HTML controls on one side, one wire to Python on the other.
window.explorer = (() => {
  const $ = id => document.getElementById(id);
  const make = (tag, text, more) => Object.assign(document.createElement(tag), text == null ? {} : {textContent: text}, more);
  let asked = null, count = 0, properties = [], table = {columns: [], shown: 0}, pointer = {x: 0, y: 0}, hovered = null, leaving = 0;

  const ask = (what, more) => { if (asked) asked.data = {json: [JSON.stringify({ask: what, number: ++count, ...more})]}; };

  // A range or a number says what it is set to, and a form sends all that is in it.
  const read = form => Object.fromEntries([...form.elements].filter(one => one.name).map(one =>
    [one.name, one.type === "number" || one.type === "range" ? (one.value === "" ? null : Number(one.value)) : one.value]));
  const wanted = () => Object.fromEntries(properties.filter(one => $("tell-" + one.name).checked)
    .map(one => [one.name, Number($("value-" + one.name).value)]));

  for (const form of document.querySelectorAll("form[data-ask]")) form.addEventListener("submit", event => {
    event.preventDefault();
    ask(form.dataset.ask, form.dataset.ask === "told" ? {...read(form), values: wanted()} : read(form));
  });
  for (const slide of document.querySelectorAll("label.slide")) {
    const show = () => { slide.querySelector("output").textContent = Number(slide.querySelector("input").value).toFixed(2); };
    slide.addEventListener("input", show); show();
  }
  $("search").addEventListener("submit", event => { event.preventDefault(); ask("search", {text: $("query").value}); });
  $("colour").addEventListener("change", event => ask("colour", {by: event.target.value}));
  $("projection").addEventListener("change", event => ask("project", {by: event.target.value}));
  $("stop").addEventListener("click", () => ask("stop"));
  $("clear").addEventListener("click", () => ask("clear"));
  $("more").addEventListener("click", () => ask("rows", {start: table.shown}));
  $("properties").addEventListener("toggle", () => { if ($("properties").open) near(); });
  for (const button of document.querySelectorAll("[data-export]"))
    button.addEventListener("click", () => ask("export", {format: button.dataset.export}));

  let waiting = 0;
  const near = () => { clearTimeout(waiting); waiting = setTimeout(() => ask("near", {values: wanted()}), 150); };

  // -- what Python tells ---------------------------------------------------------------------------------------

  const on = {
    controls(event) {
      $("title").textContent = event.title;
      $("projection").replaceChildren(...event.projections.map(name => make("option", name, {value: name})));
      $("colour").append(...event.values.map(name => make("option", name, {value: name})));
      $("scores").replaceChildren(...event.scores.map(name => make("option", name, {value: name})));
      $("training").textContent = event.training;
      properties = event.properties;
      $("sliders").replaceChildren(...properties.map(one => {
        const row = make("div"), tick = make("input", null, {type: "checkbox", id: "tell-" + one.name});
        const label = make("label", one.name.replaceAll("_", " "), {htmlFor: tick.id}), shown = make("output");
        const slider = make("input", null, {type: "range", id: "value-" + one.name, min: one.low, max: one.high, step: one.step});
        slider.value = one.mean; slider.setAttribute("aria-label", label.textContent);
        const show = () => { shown.textContent = Number(Number(slider.value).toPrecision(4)); };
        slider.addEventListener("input", () => { tick.checked = true; show(); near(); });
        tick.addEventListener("change", near);
        show(); row.append(tick, label, shown, slider);
        return row;
      }));
      $("properties").hidden = !properties.length;
    },
    layers(event) {
      $("layers").replaceChildren(...event.layers.map(one => {
        const item = make("li"), label = make("label", null, {title: one.note});
        const tick = make("input", null, {type: "checkbox", checked: one.shown}), dot = make("i");
        dot.style.background = one.colour;
        tick.addEventListener("change", () => ask("show", {layer: one.key, on: tick.checked}));
        label.append(tick, dot, make("span", one.title), make("span", one.count.toLocaleString("en"), {className: "many"}));
        item.append(label);
        if (one.removable) {
          const button = make("button", "×", {type: "button", title: "Remove"});
          button.setAttribute("aria-label", "Remove " + one.title);
          button.addEventListener("click", () => ask("remove", {layer: one.key}));
          item.append(button);
        }
        return item;
      }));
      $("legend").hidden = !(event.legend && event.legend.span);
      if (event.legend && event.legend.span) {
        const [low, high] = event.legend.span.map(one => String(Number(one.toPrecision(3))));
        $("low").textContent = low; $("high").textContent = high;
        $("ramp").style.background = "linear-gradient(to right, " + event.legend.ramp + ")";
        $("ramp").setAttribute("aria-label", event.legend.name + " from " + low + " to " + high);
      }
      $("colour").value = event.legend ? event.legend.name : "";
      $("map").setAttribute("aria-label", "Map of " + event.total.toLocaleString("en") + " latent codes");
      $("map-note").textContent = event.note + " Lasso or tap to select; the wheel zooms.";
    },
    work(event) {
      const running = event.state !== "idle";
      const share = event.total ? " " + event.done.toLocaleString("en") + " of " + event.total.toLocaleString("en") : "";
      $("work").textContent = event.state === "idle" ? "Ready." : event.state === "stopping" ?
        event.title + ": stopping after this step…" : event.title + (share || event.what ? ":" : "…") + share + (event.what ? " " + event.what : "");
      $("progress").hidden = !running;
      if (event.total) $("progress").value = event.done / event.total; else $("progress").removeAttribute("value");
      $("stop").hidden = !running;
      $("stop").disabled = event.state === "stopping";
    },
    notice(event) {
      const box = make("p", null, {className: "notice " + event.kind}), button = make("button", "×", {type: "button"});
      button.setAttribute("aria-label", "Dismiss");
      button.addEventListener("click", () => box.remove());
      box.append(make("span", event.text), button);
      $("notices").append(box);
      while ($("notices").children.length > 3) $("notices").firstChild.remove();
      if (event.kind === "note") setTimeout(() => box.remove(), 12000);
    },
    card(event) {
      $("structure").innerHTML = event.picture; // made and escaped by the server
      $("card-name").textContent = [event.name, event.layer].filter(Boolean).join(" · ");
      $("card-text").textContent = event.text || "not decoded yet";
      $("card-facts").replaceChildren(...Object.entries(event.facts).flatMap(([name, value]) =>
        [make("dt", name.replaceAll("_", " ")), make("dd", value ?? "–")]));
      place();
    },
    rows(event) {
      const body = $("table").tBodies[0];
      if (!event.start) {
        body.replaceChildren();
        const cells = ["structure", ...event.columns].map((name, index) => {
          const cell = make("th"); cell.scope = "col";
          if (!index) { cell.textContent = name; return cell; }
          const down = event.sort === name && event.descending, up = event.sort === name && !down;
          const button = make("button", name.replaceAll("_", " ") + (up ? " ▲" : down ? " ▼" : ""), {type: "button"});
          cell.setAttribute("aria-sort", up ? "ascending" : down ? "descending" : "none");
          button.addEventListener("click", () => ask("rows", {start: 0, sort: name, descending: up}));
          cell.append(button);
          return cell;
        });
        const row = make("tr"); row.append(...cells);
        $("table").tHead.replaceChildren(row);
      }
      body.append(...event.rows.map((values, index) => {
        const row = make("tr"), cell = make("td");
        cell.innerHTML = event.pictures[index]; // made and escaped by the server
        row.append(cell, ...values.map((value, column) => {
          const one = make("td", null, {className: typeof value === "number" ? "number" : ""});
          if (event.columns[column] === "smiles") {
            const pick = make("button", "Only this", {type: "button"});
            pick.setAttribute("aria-label", "Only this: " + value);
            pick.addEventListener("click", () => ask("choose", {row: event.start + index}));
            one.append(make("code", value), ...(event.total > 1 ? [pick] : []));
          } else one.textContent = value ?? "";
          return one;
        }));
        return row;
      }));
      if (event.total > 1 && hovered === null) $("card").hidden = true;
      table.shown = event.start + event.rows.length;
      const many = event.total.toLocaleString("en") + (event.total === 1 ? " point" : " points");
      $("count").textContent = event.total ? many + " selected" : "nothing is selected";
      $("total").textContent = event.total ? many : "";
      $("table").hidden = !event.total; $("empty").hidden = !!event.total;
      $("more").hidden = table.shown >= event.total;
    },
    near(event) { $("near").textContent = event.text; },
    refused(event) {
      $("refused").hidden = false;
      $("refused").querySelector("summary").textContent = event.count.toLocaleString("en") + (event.count === 1 ? " row" : " rows") + " of the file cannot be used" +
        (event.count > event.rows.length ? "; the first " + event.rows.length + " are listed" : "");
      $("refused").querySelector("tbody").replaceChildren(...event.rows.map(one => {
        const row = make("tr"); row.append(make("td", one.line), make("td", one.text), make("td", one.reason)); return row;
      }));
    },
    file(event) {
      const link = make("a", null, {href: URL.createObjectURL(new Blob([event.text], {type: event.media})), download: event.name});
      document.body.append(link); link.click(); link.remove();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    },
  };

  // -- the card beside the pointer ----------------------------------------------------------------------------

  const area = $("atlas");
  area.addEventListener("pointermove", event => {
    const box = area.getBoundingClientRect();
    pointer = {x: event.clientX - box.left, y: event.clientY - box.top};
  });
  area.addEventListener("pointerleave", () => { $("card").hidden = true; hovered = null; });
  window.addEventListener("resize", () => { $("card").hidden = true; });
  document.addEventListener("keydown", event => { if (event.key === "Escape") $("card").hidden = true; });
  const place = () => {
    const card = $("card"); card.hidden = false;
    const width = card.offsetWidth, height = card.offsetHeight, x = pointer.x || area.clientWidth, y = pointer.y;
    card.style.left = Math.max(4, x + width + 24 > area.clientWidth ? x - width - 16 : x + 16) + "px";
    card.style.top = Math.max(4, Math.min(y - height / 3, area.clientHeight - height - 4)) + "px";
  };

  // Bokeh says nothing when it has the document of the session, so that the script looks for it.
  const connect = () => {
    const page = window.Bokeh?.documents?.[0], wire = page?.get_model_by_name("asked"), told = page?.get_model_by_name("told");
    if (!wire || !told) { setTimeout(connect, 50); return; }
    asked = wire;
    told.properties.data.change.connect(() => { const event = JSON.parse(told.data.json[0]); on[event.tell]?.(event); });
    ask("begin");
  };
  connect();

  return {
    hover(indices) {
      clearTimeout(leaving);
      const first = indices.length ? indices[indices.length - 1] : null;
      if (first === null) { leaving = setTimeout(() => { $("card").hidden = true; }, 250); hovered = null; return; }
      if (first !== hovered) { hovered = first; ask("card", {point: first}); }
    },
    lost() {
      $("work").textContent = "The connection to the explorer is lost. If it still runs in its terminal, reload this page.";
      $("progress").hidden = true; $("stop").hidden = true;
    },
    found() { $("work").textContent = "Connected again."; },
  };
})();
