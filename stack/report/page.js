"use strict";
{
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const config = { displayModeBar: false, responsive: false, scrollZoom: false, doubleClick: "reset" };

  // Pictures

  for (const image of all("img[data-image]")) image.src = report.thumbnails[image.dataset.image];
  for (const image of all("img[data-attention]")) image.src = report.attention[image.dataset.attention];

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
      return { ...trace, ...Object.fromEntries(parts.map((part) => [part, fitted(trace[part], factor)])) };
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
      canvas.on("plotly_hover", (event) => showTooltip(canvas, event));
      canvas.on("plotly_click", (event) => showTooltip(canvas, event)); // a finger does not hover
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
  loadPlotly().then(
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

  // Confusion matrix: another order, one class from near

  const confusion = report.figures.confusion;
  if (confusion) {
    const canvas = one('[data-figure="confusion"]');
    const heat = confusion.data[0];
    const similar = { ...heat };
    const by = confusion.layout.meta.alphabetical;
    const rows = (matrix) => matrix && by.map((i) => by.map((j) => matrix[i][j]));
    const names = by.map((i) => heat.x[i]);
    const alphabetical = { x: names, y: names, z: rows(heat.z), text: rows(heat.text), hovertext: rows(heat.hovertext) };
    const orders = all("[data-order]");
    for (const button of orders) {
      button.addEventListener("click", () => {
        for (const each of orders) each.setAttribute("aria-pressed", String(each === button));
        Object.assign(heat, button.dataset.order === "alphabetical" ? alphabetical : similar);
        draw(canvas);
      });
    }
    const jump = one("[data-jump]");
    jump.addEventListener("change", () => {
      if (jump.value === "") return draw(canvas);
      const place = heat.x.indexOf(similar.x[confusion.layout.meta.position[jump.value]]);
      const reach = Math.min(8, heat.x.length / 2);
      const middle = Math.min(Math.max(place, reach - 0.5), heat.x.length - reach - 0.5);
      const range = [middle - reach, middle + reach];
      Plotly.relayout(canvas, { "xaxis.range": range, "yaxis.range": [...range].reverse() });
    });
  }

  // Tables that sort

  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    const value = (row, column) => row.cells[column].textContent.replace(/,/g, "");
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
        const body = table.tBodies[0];
        const order = new Intl.Collator(undefined, { numeric: true }).compare;
        body.append(...[...body.rows].sort((a, b) => sign * (column ? value(a, column) - value(b, column) : order(value(a, 0), value(b, 0)))));
      });
    });
    heads[heads.length - 1].setAttribute("aria-sort", "ascending");
  }

  for (const button of all(".more")) {
    button.addEventListener("click", () => {
      const cards = document.getElementById(button.getAttribute("aria-controls"));
      const next = one(".later", cards);
      cards.classList.add("all");
      next.tabIndex = -1; // the button goes, and whoever pressed it by keyboard reads on here
      next.focus();
      button.remove();
    });
  }

  // Map: which classes are in colour

  const webgl = Boolean(document.createElement("canvas").getContext("webgl"));
  const slots = report.looks.length;
  const chosen = new Map(report.highlighted.map((code, slot) => [code, slot])); // class to colour, oldest first
  let untouched = true;

  function mapTraces(points) {
    const codes = report.rows[points.rows].class;
    const fast = webgl && points.x.length > 3000;
    const trace = (code, name, [fill, symbol], opacity) => ({
      type: fast ? "scattergl" : "scatter", mode: "markers", name, showlegend: false, hoverinfo: "none",
      x: [], y: [], customdata: [], marker: { size: points.x.length > 20000 ? 4 : 6, color: fill, symbol, opacity },
    });
    const rest = trace(-1, "others", [report.grey, "circle"], 0.22);
    const traces = new Map([...chosen].map(([code, slot]) => [code, trace(code, "", report.looks[slot], 0.8)]));
    for (let i = 0; i < codes.length; i++) {
      const target = traces.get(codes[i]) ?? rest;
      target.x.push(points.x[i]);
      target.y.push(points.y[i]);
      target.customdata.push(i);
    }
    return [rest, ...traces.values()];
  }

  const SHAPES = {
    circle: "M5 0a5 5 0 1 0 .01 0z", square: "M0 0h10v10H0z", diamond: "M5-1 11 5 5 11-1 5z", "triangle-up": "M5 0 10.5 10H-.5z",
    cross: "M3 0h4v3h3v4H7v3H3V7H0V3h3z", "triangle-down": "M5 10 10.5 0H-.5z", star: "M5-1l1.5 4.3H11L7.4 6l1.3 4.6L5 7.9 1.3 10.6 2.6 6-1 3.3h4.5z",
    x: "M1.5 0 5 3.5 8.5 0 10 1.5 6.5 5 10 8.5 8.5 10 5 6.5 1.5 10 0 8.5 3.5 5 0 1.5z",
  };
  const chips = all("[data-class]");
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
    if (status) status.textContent = `${chosen.size} of ${chips.length} classes in colour. Choose one to see it alone, and more to compare.`;
  }
  function choose(code) {
    if (untouched) chosen.clear();
    untouched = false;
    if (chosen.has(code)) chosen.delete(code);
    else {
      if (chosen.size === slots) chosen.delete(chosen.keys().next().value);
      const used = new Set(chosen.values());
      chosen.set(code, [...Array(slots).keys()].find((slot) => !used.has(slot)));
    }
    if (!chosen.size) {
      untouched = true;
      report.highlighted.forEach((each, slot) => chosen.set(each, slot));
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
  for (const chip of chips) chip.addEventListener("click", () => choose(Number(chip.dataset.class)));
  one("[data-map]")?.addEventListener("change", (event) => {
    map.dataset.figure = event.target.value;
    map.setAttribute("aria-label", event.target.selectedOptions[0].dataset.says);
    draw(map);
  });
  one("[data-find]")?.addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const chip of chips) chip.hidden = !chip.textContent.toLowerCase().includes(wanted);
  });

  // What is under the pointer: its picture, its label

  const tooltip = one(".tooltip");
  function showTooltip(canvas, { points: [point], event }) {
    const row = point.customdata;
    if (typeof row !== "number") return;
    const name = canvas.dataset.figure;
    const rows = report.maps[name] && report.rows[report.maps[name].rows];
    const index = rows ? rows.image[row] : row;
    const image = report.images[index];
    if (!image && !rows?.class.length) return;
    const picture = one("img", tooltip);
    picture.hidden = !report.thumbnails[index];
    if (!picture.hidden) picture.src = report.thumbnails[index];
    one("b", tooltip).textContent = image ? image.label : report.classes[rows.class[row]];
    one("code", tooltip).textContent = image ? image.path : "";
    tooltip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = tooltip;
    tooltip.style.left = `${Math.max(8, Math.min(event.clientX + 16, innerWidth - width - 8))}px`;
    tooltip.style.top = `${Math.max(8, event.clientY + 16 + height > innerHeight ? event.clientY - height - 16 : event.clientY + 16)}px`;
  }
  function hideTooltip() {
    tooltip.hidden = true;
  }
  for (const type of ["pointerdown", "keydown", "scroll"]) addEventListener(type, hideTooltip, { passive: true });

  // Navigation and copying

  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const reading = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(target.id).setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-30% 0px -65%" });
  for (const section of all("section")) reading.observe(section);

  for (const button of all("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source); // no clipboard here: ready to be copied by hand
        button.textContent = "Selected";
      }
    });
  }

  showTheme();
}
