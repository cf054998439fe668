const read = (id) => JSON.parse(document.getElementById(id).textContent);
// Names that people gave to novel classes; figures go by numbers, and Plotly reads markup.
const names = read("names");
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const named = (text) => text.replace(/\bnovel_\d+\b/g, (name) => escaped(names[name] ?? name));
const renamed = (value) => typeof value === "string" ? named(value) : Array.isArray(value) ? value.map(renamed)
  : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, renamed(v)]))
  : value;
const figures = renamed(read("figures"));
const plots = [...document.querySelectorAll("[data-figure]")];
const options = { responsive: true, displayModeBar: false };
for (const plot of plots) {
  const { data, layout } = figures[plot.dataset.figure];
  plot.style.minHeight = `${layout.height}px`;
  Plotly.newPlot(plot, data, layout, options);
}
// A printed page is narrower than the window, and no resize event says so.
addEventListener("beforeprint", () => plots.forEach((plot) => Plotly.relayout(plot, { width: 660 })));
addEventListener("afterprint", () => plots.forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true })));
