// Figures: the page's own colours and sizes go under what each figure says of itself

const isDark = () => {
  const chosen = root.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const color = (name) => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};
const touch = matchMedia("(pointer: coarse)").matches; // a finger on a figure scrolls the page
const zoomOfPage = () => parseFloat(getComputedStyle(root).fontSize) / 16;

function template(narrow) {
  const [ink, quiet, line, paper, raised] = ["ink", "quiet", "line", "paper", "raised"].map(color);
  const size = (narrow ? 11 : 13) * zoomOfPage();
  const axis = {
    gridcolor: line, zerolinecolor: quiet, linecolor: line, tickcolor: line, zeroline: false,
    title: { font: { color: quiet, size }, standoff: 12 }, tickfont: { size }, automargin: true, ticks: "", ticklabelstandoff: 4,
  };
  const heat = report.heat[isDark() ? "dark" : "light"];
  return {
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size, color: ink },
      colorscale: { sequential: heat.map((each, i) => [i / (heat.length - 1), each]) },
      xaxis: axis, yaxis: axis, dragmode: false,
      margin: { l: 8, r: 16, t: 8, b: 8 },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
      hoverlabel: { bgcolor: raised, bordercolor: line, font: { color: ink, size } },
      modebar: { bgcolor: paper },
    },
  };
}

const SIZES = new Set(["size", "thickness", "width", "l", "r", "t", "b", "xshift"]);
/** Fit marks to the page: lines and markers as large as its type, colours that its paper can carry. */
function fitted(value, factor, key) {
  if (typeof value === "number") return SIZES.has(key) ? value * factor : value;
  if (typeof value === "string") return isDark() && key === "color" ? (report.onDark[value.slice(0, 7)] ?? value.slice(0, 7)) + value.slice(7) : value;
  if (!value || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, fitted(each, factor, name)]));
}

function prepared(name, narrow) {
  const { data, layout } = report.figures[name];
  const factor = zoomOfPage();
  const { height, meta, ...rest } = structuredClone(layout); // Plotly writes the zoom into what it is given
  const traces = report.maps[name]?.x ? mapTraces(report.maps[name]) : data;
  const sized = traces.map((trace) => {
    const parts = ["marker", "line", "colorbar", "error_x", "error_y"].filter((part) => part in trace);
    const ink = trace.mode === "text" && { textfont: { color: trace.meta[isDark() ? "dark" : "light"] } };
    return { ...trace, ...ink, ...Object.fromEntries(parts.map((part) => [part, fitted(trace[part], factor)])) };
  });
  const annotations = rest.annotations?.map((each) => fitted(each, factor));
  return [sized, { ...rest, annotations, margin: fitted(rest.margin ?? {}, factor), template: template(narrow), autosize: true, ...(touch && { dragmode: false }) }];
}

const drawn = new Set();
function draw(canvas) {
  if (!window.Plotly) return; // not unpacked yet
  drawn.add(canvas);
  Plotly.react(canvas, ...prepared(canvas.dataset.figure, canvas.offsetWidth < 480), config);
  if (!canvas.dataset.live) {
    canvas.dataset.live = "yes";
    canvas.on("plotly_hover", showTooltip);
    canvas.on("plotly_click", (event) => {
      const { x, y } = event.points[0];
      if (canvas.dataset.figure === "confusion") canvas.dispatchEvent(new CustomEvent("cellclick", { detail: { x, y } }));
      else clickPoint(event);
    });
    canvas.on("plotly_unhover", hideTooltip);
    resized.observe(canvas);
  }
}

const canvases = all("[data-figure]");
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) requestAnimationFrame(() => target.offsetWidth && Plotly.Plots.resize(target));
});
const inView = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    inView.unobserve(target);
    draw(target);
  }
}, { rootMargin: "300px" });

/** Unpack plotly.js; the policy knows its hash, so that it may run and nothing else may. */
async function loadPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (char) => char.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
}
if (canvases.length) loadPlotly().then(
  () => canvases.forEach((canvas) => inView.observe(canvas)),
  () => canvases.forEach((canvas) => (canvas.textContent = "This browser is too old to draw the figures; their numbers are below.")),
);
const redraw = () => drawn.forEach(draw);

// Theme

const theme = one(".theme");
function showTheme() {
  theme.setAttribute("aria-pressed", String(isDark()));
  showChosen();
  redraw();
}
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);

// Print: everything is drawn, on white, at the width of a page

let before;
addEventListener("beforeprint", () => {
  for (const image of all("img[data-image]:not([src]), img[data-attention]:not([src])")) fill(image);
  before = { theme: root.dataset.theme, opened: all("#provenance details:not([open])") };
  root.dataset.theme = "light";
  for (const details of before.opened) details.open = true;
  for (const canvas of window.Plotly ? canvases : []) {
    draw(canvas);
    const half = canvas.closest(".pair-of-figures");
    const width = half ? 330 : 680;
    Plotly.relayout(canvas, { width, height: Math.min(report.figures[canvas.dataset.figure].layout.height, 680) });
  }
});
addEventListener("afterprint", () => {
  for (const details of before.opened) details.open = false;
  if (before.theme) root.dataset.theme = before.theme;
  else delete root.dataset.theme;
  for (const canvas of drawn) Plotly.relayout(canvas, { width: null, height: null });
  redraw();
});

// Zoom by buttons

function scaleAxes(canvas, factor) {
  const update = touch ? { dragmode: "pan" } : {}; // until the zoom is reset
  for (const axis of ["xaxis", "yaxis"]) {
    const [start, end] = canvas._fullLayout[axis].range;
    const middle = (start + end) / 2;
    update[`${axis}.range`] = [middle + (start - middle) * factor, middle + (end - middle) * factor];
  }
  Plotly.relayout(canvas, update);
}
for (const button of all("[data-zoom]")) {
  const canvas = one(".canvas", button.closest("figure"));
  button.addEventListener("click", () => {
    if (button.dataset.zoom === "reset") return draw(canvas);
    scaleAxes(canvas, button.dataset.zoom === "in" ? 0.6 : 1 / 0.6);
  });
}
