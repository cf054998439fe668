const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "{}");

// Deflated and in base 85: five signs are four bytes.
const SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%:()*+-;,=.?@^_`{|}~";
const unpack = (id) => {
  const { textContent: text, dataset } = document.getElementById(id);
  const value = new Uint8Array(128);
  [...SIGNS].forEach((sign, i) => { value[sign.charCodeAt(0)] = i; });
  const bytes = new DataView(new ArrayBuffer((text.length / 5) * 4));
  for (let i = 0, j = 0; i < text.length; i += 5, j += 4) {
    let word = 0;
    for (let k = i; k < i + 5; k++) word = word * 85 + value[text.charCodeAt(k)];
    bytes.setUint32(j, word);
  }
  const data = new Blob([bytes.buffer.slice(0, Number(dataset.bytes))]).stream();
  return new Response(data.pipeThrough(new DecompressionStream("deflate"))).text();
};
const run = (code) => { document.head.appendChild(document.createElement("script")).textContent = code; };

// Names that people gave to novel classes; figures go by numbers, and Plotly reads markup.
const names = read("names");
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const cut = (text, longest) => text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
const short = (text) => escaped(cut(text, 28));
// A phone has little room for names, and two classes must not share a line: cut at the end, in the middle, or numbered.
const middle = (text) => text.length > 18 ? `${text.slice(0, 9)}…${text.slice(-8)}` : text;
const numbered = (text, novel) => `${cut(text, 13)} (${novel.slice(6)})`;
const short18 = [(text) => cut(text, 18), middle, numbered].find((way, i) =>
  i === 2 || new Set(Object.values(names).map(way)).size === Object.keys(names).length);
const figureName = (name) => name in names ? escaped(short18(names[name], name)) : name;
const named = (text) => text.replace(/\bnovel_\d+\b/g, figureName);
const renamed = (value) => typeof value === "string" ? named(value) : Array.isArray(value) ? value.map(renamed)
  : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, renamed(v)]))
  : value;

const plots = [...document.querySelectorAll("[data-figure]")];
const options = { responsive: true, displayModeBar: false };
const isPacked = document.getElementById("packed-figures") !== null;
const loaded = isPacked ? [unpack("packed-figures").then(JSON.parse), unpack("packed-plotly").then(run)] : [read("figures")];
const drawn = Promise.all(loaded).then(([read]) => {
  const figures = renamed(read);
  for (const plot of plots) {
    const { data, layout } = figures[plot.dataset.figure];
    plot.style.minHeight = `${layout.height}px`;
    Plotly.newPlot(plot, data, layout, options);
  }
  return figures;
});

// What was folded had no width to be drawn in.
const folds = [...document.querySelectorAll("details")];
for (const fold of folds) fold.addEventListener("toggle", () => {
  for (const plot of fold.open ? fold.querySelectorAll(".js-plotly-plot") : []) Plotly.Plots.resize(plot);
});
// A printed page shows what is folded, is narrower than the window, and no resize event says so.
let closed = [];
addEventListener("beforeprint", () => {
  closed = folds.filter((fold) => !fold.open);
  for (const fold of closed) fold.open = true;
  for (const plot of plots) Plotly.relayout(plot, { width: 660 });
});
addEventListener("afterprint", () => {
  for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
  for (const fold of closed) fold.open = false;
});
