// The rows of the report: a list with search, and a scatter of two columns.
const PAGE = 50;
const fill = (parent, tag, text) => {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  return element;
};
const percent = (value) => value === null ? "" : `${(100 * value).toFixed(1)}%`;

const isWords = (column) => column.kind !== "linear";

function listRows(rows, called) {
  const [table, more] = [document.getElementById("rows"), document.getElementById("rows-more")];
  const [choice, search] = [document.getElementById("rows-class"), document.getElementById("rows-search")];
  const used = new Set(rows.label);
  called.forEach((name, i) => { if (used.has(i)) fill(choice, "option", name).value = i; });
  const head = fill(table.tHead, "tr", "");
  const [copied, telling] = [rows.columns.slice(0, rows.copied), rows.columns.slice(rows.copied)];
  const titles = ["row", ...copied.map((c) => c.name), "class", "confidence", "runner-up", "its confidence",
    ...telling.map((c) => c.name)];
  const isText = [false, ...copied.map(isWords), true, false, true, false, ...telling.map(isWords)];
  const kind = (cell, i) => { if (isText[i]) cell.className = "text"; };
  titles.forEach((title, i) => kind(fill(head, "th", title), i));
  const lines = rows.row.map((row, i) => [
    row, ...copied.map((c) => c.values[i] ?? ""), called[rows.label[i]], percent(rows.confidence[i]),
    called[rows.runnerUp[i]] ?? "", rows.runnerUp[i] < 0 ? "" : percent(rows.runnerUpConfidence[i]),
    ...telling.map((c) => c.values[i] ?? ""),
  ].map(String));
  const texts = lines.map((line) => line.join("\n").toLowerCase());
  let shown = PAGE;
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = lines.filter((_, i) =>
      (choice.value === "" || rows.label[i] === Number(choice.value)) && texts[i].includes(wanted));
    table.tBodies[0].replaceChildren();
    for (const line of found.slice(0, shown)) {
      const tr = fill(table.tBodies[0], "tr", "");
      line.forEach((cell, i) => kind(fill(tr, "td", cell), i));
    }
    const part = found.length > shown ? `, the first ${shown} shown` : "";
    document.getElementById("rows-count").textContent = `${found.length.toLocaleString("en")} rows${part}`;
    more.hidden = found.length <= shown;
  };
  const again = () => { shown = PAGE; draw(); };
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
      ...rows.layout, height: 520, xaxis: axis(rows.layout.xaxis, x), yaxis: axis(rows.layout.yaxis, y) };
    Plotly.react(plot, data, layout, options);
  };
  plot.style.minHeight = "520px";
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
