const figures = JSON.parse(document.getElementById("figures").textContent);
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
