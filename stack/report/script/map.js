// Map: which classes are in colour

const webgl = Boolean(document.createElement("canvas").getContext("webgl"));
const slots = report.looks.length;
const chosen = new Map(report.highlighted.map((code, slot) => [code, slot])); // class to colour, oldest first
let untouched = true;

// By what points are coloured: names, and the code of each image's own
const SCHEMES = {
  class: () => ({ names: report.classes, codes: known.true }),
  prediction: () => ({ names: report.classes, codes: known.said[0] }),
  error: () => ({ names: ["right", "wrong"], codes: known.true.map((code, place) => (known.said[0][place] < 0 ? -1 : Number(code !== known.said[0][place]))), slots: [0, 4] }),
  cluster: () => clustersOf(report.maps[map.dataset.figure]),
  split: () => ({ names: known.split.names.map((each) => each || "no split"), codes: known.split.codes }),
};
function clustersOf({ rows, clusters }) {
  const codes = Array(known.true.length).fill(-1);
  report.rows[rows].forEach((row, i) => { codes[placeOf.get(row)] = clusters.codes[i]; });
  return { names: clusters.names, codes };
}
const colored = one("[data-color]");
let scheme = report.classes.length ? SCHEMES.class() : null;
const atFirst = () => (scheme.names === report.classes ? report.highlighted.map((code, slot) => [code, slot]) : scheme.names.slice(0, slots).map((_, code) => [code, scheme.slots?.[code] ?? code]));

function mapTraces(points) {
  const rows = report.rows[points.rows];
  const fast = webgl && points.x.length > 3000;
  const trace = (code, name, [fill, symbol], opacity) => ({
    type: fast ? "scattergl" : "scatter", mode: "markers", name, showlegend: false, hoverinfo: "none",
    x: [], y: [], customdata: [], marker: { size: points.x.length > 20000 ? 4 : 6, color: fill, symbol, opacity },
  });
  const rest = trace(-1, "others", [report.grey, "circle"], 0.22);
  const traces = new Map([...chosen].map(([code, slot]) => [code, trace(code, "", report.looks[slot], 0.8)]));
  for (let i = 0; i < rows.length; i++) {
    const target = traces.get(scheme.codes[placeOf.get(rows[i])]) ?? rest;
    target.x.push(points.x[i]);
    target.y.push(points.y[i]);
    target.customdata.push(rows[i]);
  }
  return [rest, ...traces.values()];
}

const SHAPES = {
  circle: "M5 0a5 5 0 1 0 .01 0z", square: "M0 0h10v10H0z", diamond: "M5-1 11 5 5 11-1 5z", "triangle-up": "M5 0 10.5 10H-.5z",
  cross: "M3 0h4v3h3v4H7v3H3V7H0V3h3z", "triangle-down": "M5 10 10.5 0H-.5z", star: "M5-1l1.5 4.3H11L7.4 6l1.3 4.6L5 7.9 1.3 10.6 2.6 6-1 3.3h4.5z",
  x: "M1.5 0 5 3.5 8.5 0 10 1.5 6.5 5 10 8.5 8.5 10 5 6.5 1.5 10 0 8.5 3.5 5 0 1.5z",
};
let chips = all("[data-class]");
function showChosen() {
  for (const chip of chips) {
    const slot = chosen.get(Number(chip.dataset.class));
    const [fill, symbol] = slot === undefined ? [report.grey, "circle"] : report.looks[slot];
    chip.setAttribute("aria-pressed", String(slot !== undefined));
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 10 10");
    const shape = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
    shape.setAttribute("d", SHAPES[symbol]);
    shape.setAttribute("fill", fitted(fill, 1, "color"));
    one(".swatch", chip).replaceChildren(svg);
  }
  const status = one("[data-chosen]");
  if (status) status.textContent = `${chosen.size} of ${chips.length} in colour. Choose one to see it alone, and more to compare.`;
}
function choose(code) {
  if (untouched) chosen.clear();
  untouched = false;
  if (chosen.has(code)) chosen.delete(code);
  else {
    if (chosen.size === slots) chosen.delete(chosen.keys().next().value);
    const used = new Set(chosen.values());
    const own = new Map(atFirst()).get(code); // who is coloured at first keeps that look
    chosen.set(code, own !== undefined && !used.has(own) ? own : [...Array(slots).keys()].find((slot) => !used.has(slot)));
  }
  if (!chosen.size) {
    untouched = true;
    for (const [each, slot] of atFirst()) chosen.set(each, slot);
  }
  showChosen();
  redrawMap();
}
const map = canvases.find((canvas) => canvas.dataset.figure.startsWith("map_"));
function redrawMap() {
  const kept = map._fullLayout && ["xaxis", "yaxis"].map((axis) => map._fullLayout[axis].range);
  draw(map);
  if (kept) Plotly.relayout(map, { "xaxis.range": kept[0], "yaxis.range": kept[1] });
}
one(".map-legend")?.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-class]");
  if (chip) choose(Number(chip.dataset.class));
});
for (const option of all("option", colored ?? document.createElement("p"))) option.hidden = option.disabled = option.value === "split" && !known.split;
colored?.addEventListener("change", () => {
  scheme = SCHEMES[colored.value]();
  const isOfClasses = scheme.names === report.classes;
  const [ofClasses, ofOthers] = all(".chips", one(".map-legend"));
  for (const each of [ofClasses, one("[data-find]")?.parentElement]) if (each) each.hidden = !isOfClasses;
  ofOthers.hidden = isOfClasses;
  ofOthers.replaceChildren(...(isOfClasses ? [] : scheme.names.map((name, code) => make("button", { type: "button", "data-class": code, "aria-pressed": "false" }, make("span", { class: "swatch", "aria-hidden": "true" }), name))));
  chips = all("[data-class]", isOfClasses ? ofClasses : ofOthers);
  chosen.clear();
  untouched = true;
  for (const [each, slot] of atFirst()) chosen.set(each, slot);
  showChosen();
  redrawMap();
});
one("[data-map]")?.addEventListener("change", (event) => {
  map.dataset.figure = event.target.value;
  const { says, kept } = event.target.selectedOptions[0].dataset;
  map.setAttribute("aria-label", says);
  one("[data-kept-here]").textContent = kept;
  if (colored?.value === "cluster") colored.dispatchEvent(new Event("change")); // each backbone has its own
  else draw(map);
});
one("[data-find]")?.addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const chip of chips) chip.hidden = !chip.textContent.toLowerCase().includes(wanted);
});
