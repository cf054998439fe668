// The map of the rows: one trace a class, or one for a scale of colours.
const dark = matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const short = (text) => escaped(String(text).length > 28 ? `${String(text).slice(0, 27)}…` : text);
const percent = (value) => value === null ? "" : `${(100 * value).toFixed(1)} %`;
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D00"];

export class RowMap {
  constructor(plot, data) {
    Object.assign(this, { plot, data, colour: "class", marked: [], dragmode: "pan" });
    this.all = data.row.map((_, i) => i);
    dark.addEventListener("change", () => this.draw());
  }

  // The name of a point's class: what it was labelled, or was given.
  name(i) { return this.data.label[i] || this.data.known[i]; }

  text(i) {
    const d = this.data;
    const lines = [`row ${d.row[i]}`, short(this.name(i))];
    if (d.label[i]) lines.push(`confidence ${percent(d.confidence[i])}`);
    if (d.runner_up[i]) lines.push(`otherwise ${short(d.runner_up[i])}`);
    for (const column of d.columns.filter((c) => d.telling.includes(c.name))) {
      lines.push(`${short(column.name)}: ${short(column.values[i] ?? "missing")}`);
    }
    return lines.join("<br>");
  }

  trace(points, name, marker) {
    return {
      type: "scatter", mode: "markers", name: short(name), customdata: points,
      x: points.map((i) => this.data.x[i]), y: points.map((i) => this.data.y[i]),
      text: points.map((i) => this.text(i)), hovertemplate: "%{text}<extra></extra>",
      marker: { size: 7, opacity: 0.85, ...marker },
    };
  }

  traces() {
    const d = this.data;
    const labelled = this.all.filter((i) => !d.label[i]);
    const faint = { color: dark.matches ? "#4a545f" : "#C9CFD6", size: 4 };
    if (this.colour === "class") {
      const traces = [this.trace(labelled, "labelled rows", faint)];
      for (const { name, style } of d.classes) {
        const [color, symbol] = style ?? [dark.matches ? "#9aa5b1" : "#7d8894", "circle-open"];
        traces.push(this.trace(this.all.filter((i) => d.label[i] === name), name, { color, symbol }));
      }
      return traces;
    }
    if (this.colour === "confidence") {
      const sure = this.all.filter((i) => d.label[i]);
      const scale = { color: sure.map((i) => d.confidence[i]), cmin: 0, cmax: 1, colorscale: "Viridis", showscale: true, colorbar: this.bar("confidence") };
      return [this.trace(labelled, "labelled rows", faint), this.trace(sure, "rows without a label", scale)];
    }
    const column = d.columns[Number(this.colour)];
    const there = this.all.filter((i) => column.values[i] !== null && column.values[i] !== undefined);
    const none = this.all.filter((i) => !there.includes(i));
    const missing = none.length ? [this.trace(none, "missing", faint)] : [];
    if (column.kind === "linear") {
      const color = there.map((i) => column.values[i]);
      return [...missing, this.trace(there, column.name, { color, colorscale: "Viridis", showscale: true, colorbar: this.bar(column.name) })];
    }
    const words = [...new Set(there.map((i) => column.values[i]))].sort();
    return [...missing, ...words.slice(0, 30).map((word, n) =>
      this.trace(there.filter((i) => column.values[i] === word), word, { color: PALETTE[n % PALETTE.length] }))];
  }

  bar(title) { return { title: { text: short(title) }, thickness: 12, outlinewidth: 0 }; }

  rings() {
    return this.marked.map(([letter, rows]) => {
      const points = this.all.filter((i) => rows.includes(this.data.row[i]));
      const color = letter === "A" ? css("--accent") : css("--side-b");
      return this.trace(points, `rows of ${letter}`, { color, symbol: "circle-open", size: 14, opacity: 1, line: { width: 3 } });
    });
  }

  draw() {
    const height = this.plot.dataset.height ? Number(this.plot.dataset.height) : 560;
    this.plot.style.minHeight = `${height}px`;
    const layout = {
      template: {}, height, margin: { l: 4, r: 4, t: 8, b: 4 }, dragmode: this.dragmode, hovermode: "closest",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: "same",
      font: { family: "system-ui, sans-serif", size: 13, color: css("--ink") },
      xaxis: { visible: false }, yaxis: { visible: false, scaleanchor: "x" },
      legend: { orientation: "h", x: 0, y: 0, yanchor: "top", itemsizing: "constant" },
      hoverlabel: { align: "left", bgcolor: css("--paper"), bordercolor: css("--edge"), font: { color: css("--ink") } },
    };
    const options = { responsive: true, displayModeBar: false, scrollZoom: false };
    return Plotly.react(this.plot, [...this.traces(), ...this.rings()], layout, options);
  }
}

export async function loadMap(plot) {
  const answer = await fetch(`/runs/${encodeURIComponent(document.body.dataset.run)}/map.json`);
  const data = await answer.json();
  if (data.error) {
    plot.textContent = `There is no map: ${data.error}.`;
    return null;
  }
  const map = new RowMap(plot, data);
  await map.draw();
  return map;
}
