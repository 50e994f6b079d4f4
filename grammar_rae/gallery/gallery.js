(() => {
  for (const root of document.querySelectorAll(".gr-gallery:not([data-ready])")) {
    root.dataset.ready = "";
    const table = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const grid = root.querySelector(".gr-grid"), cards = [...grid.children];
    const tools = root.querySelector(".gr-tools"), count = root.querySelector(".gr-count");
    const sort = root.querySelector("select"), ranges = [...root.querySelectorAll(".gr-ranges input")];
    const dialog = root.querySelector("dialog");
    let order = cards.map((_, i) => i);
    const update = () => {
      const [way, name] = sort ? [sort.value[0], sort.value.slice(1)] : ["", ""];
      const column = name ? table.columns[name] : null, sign = way === "-" ? -1 : 1;
      const all = cards.map((_, i) => i);
      if (column) all.sort((a, b) => column[a] === null ? (column[b] === null ? 0 : 1)
        : column[b] === null ? -1 : sign * (column[a] - column[b]));
      const inside = (i) => ranges.every((input) => {
        const limit = input.valueAsNumber, value = table.columns[input.name][i];
        if (Number.isNaN(limit)) return true;
        return value !== null && (input.dataset.end === "low" ? value >= limit : value <= limit);
      });
      order = all.filter(inside);
      const shown = new Set(order);
      for (const i of all) { cards[i].hidden = !shown.has(i); grid.append(cards[i]); }
      count.textContent = `${order.length === cards.length ? "" : `${order.length} of `}${cards.length} shown`;
    };
    const say = (button, text) => {
      const before = button.textContent;
      button.textContent = text;
      setTimeout(() => { button.textContent = before; }, 900);
    };
    root.addEventListener("click", async (event) => {
      const copy = event.target.closest(".gr-copy"), open = event.target.closest(".gr-open");
      if (copy) {
        const text = table.texts[cards.indexOf(copy.closest("figure"))];
        try {
          await navigator.clipboard.writeText(text);
          say(copy, "copied");
        } catch {
          getSelection().selectAllChildren(copy);
          say(copy, document.execCommand("copy") ? "copied" : text);
        }
      } else if (open) {
        const figure = open.closest("figure");
        dialog.querySelector("div").replaceChildren(open.firstElementChild.cloneNode(true),
          ...[...figure.querySelectorAll("figcaption > :not(button)")].map((part) => part.cloneNode(true)));
        dialog.querySelector("code").textContent = table.texts[cards.indexOf(figure)];
        dialog.showModal();
      } else if (event.target === dialog) dialog.close();
    });
    const cell = (value) => {
      const text = value === null ? "" : String(value);
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    root.querySelector(".gr-save").addEventListener("click", () => {
      const names = Object.keys(table.columns);
      const head = [tools.dataset.name, ...names].map(cell).join(",");
      const row = (i) => [table.texts[i], ...names.map((name) => table.columns[name][i])];
      const rows = order.map((i) => row(i).map(cell).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([[head, ...rows, ""].join("\n")], { type: "text/csv" }));
      link.download = "shown.csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    sort?.addEventListener("change", update);
    for (const input of ranges) input.addEventListener("input", update);
    tools.hidden = false;
    update();
  }
})();
