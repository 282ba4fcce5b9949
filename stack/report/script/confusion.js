// Confusion matrix: another order, one class from near, and the images of one cell

const confusion = report.figures.confusion;
if (confusion) {
  const canvas = one('[data-figure="confusion"]');
  const heat = confusion.data[0];
  const similar = { ...heat };
  const by = confusion.layout.meta.alphabetical;
  const codeAt = []; // class by its place in the order of similarity
  confusion.layout.meta.position.forEach((place, code) => (codeAt[place] = code));
  const rows = (matrix) => matrix && by.map((i) => by.map((j) => matrix[i][j]));
  const names = by.map((i) => heat.x[i]);
  const alphabetical = { x: names, y: names, z: rows(heat.z), hovertext: rows(heat.hovertext) };
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

  const cell = one("[data-cell]");
  const [trueClass, predictedClass] = all("select", cell);
  function showCell() {
    const [truth, taken] = [Number(trueClass.value), Number(predictedClass.value)];
    const found = known.row.filter((_, place) => known.true[place] === truth && known.said[0][place] === taken);
    const sure = (row) => (known.said[1] ? -known.said[1][placeOf.get(row)] : 0);
    found.sort((a, b) => Boolean(report.thumbnails[b]) - Boolean(report.thumbnails[a]) || sure(a) - sure(b));
    const n = found.length === 1 ? "1 image" : `${found.length.toLocaleString("en")} images`;
    one("[role=status]", cell).textContent = `${truth === taken ? `${n}, rightly` : `${n} of ${className(truth)},`} taken for ${className(taken)}${sampled}.`;
    listCards(one("ul", cell), found);
  }
  for (const each of [trueClass, predictedClass]) each.addEventListener("change", showCell);
  canvas.addEventListener("cellclick", ({ detail: { x, y } }) => {
    trueClass.value = String(codeAt[similar.x.indexOf(y)]);
    predictedClass.value = String(codeAt[similar.x.indexOf(x)]);
    showCell();
  });
  const worst = known.row.findIndex((_, place) => known.said[0][place] >= 0 && known.said[0][place] !== known.true[place]);
  if (worst >= 0) {
    const counts = new Map();
    known.true.forEach((truth, place) => {
      const pair = `${truth} ${known.said[0][place]}`;
      if (truth >= 0 && known.said[0][place] >= 0 && truth !== known.said[0][place]) counts.set(pair, (counts.get(pair) ?? 0) + 1);
    });
    [trueClass.value, predictedClass.value] = [...counts].sort((a, b) => b[1] - a[1])[0][0].split(" ");
  }
  showCell();
}
