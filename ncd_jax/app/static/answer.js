// The answer: rows that are chosen on the map stand in a table, and classes are described.
import { loadMap } from "./map.js";
import { sortable } from "./app.js";

const [plot, colour, box, count] = ["plot", "colour", "chosen", "chosen-count"].map((id) => document.getElementById(id));
const percent = (value) => value === null || value === undefined ? "" : `${(100 * value).toFixed(1)}%`;
const add = (parent, tag, text, kind) => {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text ?? "";
  if (kind) element.className = kind;
  return element;
};

function list(map, points) {
  const [table, d] = [box.querySelector("table"), map.data];
  const columns = d.columns.filter((c) => d.telling.includes(c.name));
  table.tHead.replaceChildren();
  table.tBodies[0].replaceChildren();
  const head = add(table.tHead, "tr");
  add(add(head, "th"), "span", "choose", "hide");
  for (const title of ["row", "class", "confidence", "otherwise", ...columns.map((c) => c.name)]) add(head, "th", title, title === "row" || title === "confidence" ? "" : "text");
  for (const i of points) {
    const line = add(table.tBodies[0], "tr");
    const first = add(line, "td");
    if (d.label[i]) {  // others have a label of their own
      const tick = first.appendChild(Object.assign(document.createElement("input"), { type: "checkbox", name: "row", value: d.row[i], checked: true }));
      tick.setAttribute("aria-label", `choose row ${d.row[i]}`);
    }
    add(line, "td", d.row[i]);
    add(line, "td", map.name(i), "text");
    add(line, "td", d.label[i] ? percent(d.confidence[i]) : "");
    add(line, "td", d.runner_up[i], "text");
    for (const column of columns) add(line, "td", column.values[i], "text");
  }
  sortable(table);
  box.hidden = !points.length;
  count.textContent = points.length ? `${points.length.toLocaleString("en")} rows chosen` : "";
}

const ready = loadMap(plot).then((map) => {
  if (!map) return;
  const [n, d] = [(count) => count.toLocaleString("en"), map.data];
  const unlabelled = d.label.filter((label) => label).length;
  document.getElementById("drawn").textContent = `${n(unlabelled)} rows without a label and ${n(d.row.length - unlabelled)} with one are drawn`
    + (d.n_placed ? `; ${n(d.n_placed)} of them were put beside those that they are most alike.` : ".");
  map.data.columns.forEach((column, i) => { add(colour, "option", column.name).value = i; });
  colour.addEventListener("change", () => {
    map.colour = colour.value;
    plot.setAttribute("aria-label", `Map of the rows, coloured by ${colour.selectedOptions[0].textContent}`);
    map.draw();
  });
  const lasso = document.getElementById("lasso");
  const mode = (name) => { map.dragmode = name; lasso.setAttribute("aria-pressed", name === "lasso"); return map.draw(); };
  lasso.addEventListener("click", () => mode(map.dragmode === "lasso" ? "pan" : "lasso"));
  plot.on("plotly_selected", (event) => { if (event) list(map, event.points.map((p) => p.customdata)); });
  const none = () => {
    list(map, []);
    Plotly.restyle(plot, { selectedpoints: null });
    Plotly.relayout(plot, { selections: [] });
  };
  document.getElementById("nothing").addEventListener("click", none);
  return mode("lasso");
});

async function describe() {
  const place = document.getElementById("classes");
  const answer = await fetch(place.dataset.from);
  place.innerHTML = await answer.text();
  const said = (id) => JSON.parse(place.querySelector(`#${id}`)?.textContent ?? "{}");
  const [figures, called] = [said("figures"), said("called")];
  for (const span of place.querySelectorAll("[data-class]")) span.textContent = called[span.dataset.class] ?? span.textContent;
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const renamed = (value) => typeof value === "string"
    ? value.replace(/\bnovel_\d+\b/g, (name) => escaped((called[name] ?? name).slice(0, 18)))
    : Array.isArray(value) ? value.map(renamed)
      : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, renamed(v)])) : value;
  await ready;
  for (const figure of place.querySelectorAll("[data-figure]")) {
    const { data, layout } = renamed(figures[figure.dataset.figure]);
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
    const clear = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { ...layout.font, color: ink } };
    Plotly.newPlot(figure, data, { ...layout, ...clear }, { responsive: true, displayModeBar: false });
  }
}
describe().finally(() => { document.body.dataset.ready = "yes"; });

const whole = document.getElementById("whole");
whole.addEventListener("toggle", () => {
  const frame = whole.querySelector("iframe");
  if (whole.open && !frame.src) frame.src = frame.dataset.src;
});
