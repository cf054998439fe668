// The rows of the report: a list with search and order, and a scatter of two columns.
const PAGE = 50;
const fill = (parent, tag, text) => {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  return element;
};
const percent = (value) => value === null ? "" : `${(100 * value).toFixed(1)}%`;

const isWords = (column) => column.kind !== "linear";

// Numbers by size and words by the alphabet, what is missing last either way.
const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b
  : String(a).localeCompare(String(b), "en", { numeric: true });
const isGap = (value) => value === "" || value === null || value === undefined;
const inOrder = (items, value, down) => [...items].sort((a, b) => isGap(value(a)) || isGap(value(b))
  ? isGap(value(a)) - isGap(value(b)) : (down ? -1 : 1) * compare(value(a), value(b)));

// Titles of a table as buttons; `sort(column, down)` puts its lines in order.
function sortable(table, sort) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => {
    const title = head.textContent;
    head.textContent = "";
    fill(head, "button", title).addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(i, down);
    });
  });
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const cell = (line, i) => {
    const text = line.cells[i].textContent;
    return text !== "" && Number.isFinite(Number(text.replace(/%$/, ""))) ? Number(text.replace(/%$/, "")) : text;
  };
  sortable(table, (i, down) => body.replaceChildren(...inOrder(body.rows, (line) => cell(line, i), down)));
}

function listRows(rows, called) {
  const [table, more] = [document.getElementById("rows"), document.getElementById("rows-more")];
  const [choice, search] = [document.getElementById("rows-class"), document.getElementById("rows-search")];
  const used = new Set(rows.label);
  called.forEach((name, i) => { if (used.has(i)) fill(choice, "option", name).value = i; });
  const head = fill(table.tHead, "tr", "");
  const named = (column) => [column.name, isWords(column), (i) => column.values[i]];
  // Title, whether it is words, the value of row i.
  const columns = [
    ["row", false, (i) => rows.row[i]], ...rows.columns.slice(0, rows.copied).map(named),
    ["class", true, (i) => called[rows.label[i]]], ["confidence", false, (i) => rows.confidence[i], percent],
    ["runner-up", true, (i) => called[rows.runnerUp[i]]],
    ["its confidence", false, (i) => rows.runnerUp[i] < 0 ? null : rows.runnerUpConfidence[i], percent],
    ...rows.columns.slice(rows.copied).map(named),
  ];
  const kind = (cell, i) => { if (columns[i][1]) cell.className = "text"; };
  columns.forEach(([title], i) => kind(fill(head, "th", title), i));
  const lines = rows.row.map((_, i) => columns.map(([, , value, shown]) => String((shown ?? ((v) => v ?? ""))(value(i)))));
  const texts = lines.map((line) => line.join("\n").toLowerCase());
  let [shown, order] = [PAGE, [...rows.row.keys()]];
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = order.filter((i) =>
      (choice.value === "" || rows.label[i] === Number(choice.value)) && texts[i].includes(wanted));
    table.tBodies[0].replaceChildren();
    for (const i of found.slice(0, shown)) {
      const tr = fill(table.tBodies[0], "tr", "");
      lines[i].forEach((cell, j) => kind(fill(tr, "td", cell), j));
    }
    const part = found.length > shown ? `, the first ${shown} shown` : "";
    document.getElementById("rows-count").textContent = `${found.length.toLocaleString("en")} rows${part}`;
    more.hidden = found.length <= shown;
  };
  const again = () => { shown = PAGE; draw(); };
  sortable(table, (i, down) => { order = inOrder(rows.row.keys(), columns[i][2], down); again(); });
  choice.addEventListener("change", again);
  search.addEventListener("input", again);
  more.addEventListener("click", () => { shown += 4 * PAGE; draw(); });
  draw();
}

function drawScatter(rows, points) {
  const plot = document.getElementById("scatter");
  if (!plot) return;
  const [across, up] = [document.getElementById("scatter-x"), document.getElementById("scatter-y")];
  for (const select of [across, up]) rows.drawn.forEach((c, i) => { fill(select, "option", c.name).value = i; });
  // What has an order shows more.
  const ordered = [...rows.drawn.keys()].filter((i) => rows.drawn[i].kind !== "category");
  [across.value, up.value] = [...ordered, ...[...rows.drawn.keys()].filter((i) => !ordered.includes(i))];
  const column = (c) => c.kind === "category" ? c.values.map((v) => v === null ? null : short(v)) : c.values;
  const axis = (old, c) => ({ ...old, title: { text: short(c.name) }, type: c.kind });
  const draw = () => {
    const [x, y] = [rows.drawn[across.value], rows.drawn[up.value]];
    const [xs, ys] = [column(x), column(y)];
    const data = points.map((trace) => ({
      ...trace, x: trace.customdata.map((i) => xs[i]), y: trace.customdata.map((i) => ys[i]) }));
    const layout = {
      ...rows.layout, height: 460, showlegend: false, xaxis: axis(rows.layout.xaxis, x), yaxis: axis(rows.layout.yaxis, y) };
    Plotly.react(plot, data, layout, options);
  };
  plot.style.minHeight = "460px";
  for (const select of [across, up]) select.addEventListener("change", draw);
  draw();
  plots.push(plot);
}

// The points of the map say more once their values are there.
Promise.all([unpack("packed-rows"), drawn]).then(([text, { map }]) => {
  const rows = JSON.parse(text);
  listRows(rows, rows.classes.map((name) => names[name] ?? name));
  const telling = rows.drawn.filter((c) => rows.telling.includes(c.name));
  const values = (i) => telling.map((c) => `<br>${short(c.name)}: ${short(String(c.values[i] ?? "missing"))}`).join("");
  for (const trace of map.data) trace.text = trace.text.map((t, j) => t + values(trace.customdata[j]));
  Plotly.react(document.querySelector('[data-figure="map"]'), map.data, map.layout, options);
  drawScatter(rows, map.data.filter((trace) => trace.visible !== false));
  document.body.dataset.ready = "yes";
});
