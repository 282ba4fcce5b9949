// An image from near: a dialog with every vote, its neighbours and its file

const viewer = one(".viewer");
const [previousButton, nextButton] = all("[data-turn]", viewer);
let turned = []; // rows that the arrow keys turn to, each once
let at = 0; // the place among them of the image that is shown, or of the one whose neighbour is
let shownRow = -1;

function openImage(row, rows = [row]) {
  if (!placeOf.has(row)) return;
  turned = [...new Set(rows)];
  turnTo(turned.indexOf(row));
  hideTooltip();
  if (!viewer.open) viewer.showModal(); // Escape closes it, and the focus goes back to where it was
}
function turnTo(place) {
  at = place;
  showImage(turned[at]);
}
function showImage(row) {
  shownRow = row;
  const place = placeOf.get(row);
  const picture = report.thumbnails[row];
  const votes = Object.entries(known.votes).filter(([, said]) => said[0][place] >= 0);
  const all_ = known.said && known.said[0][place] >= 0 ? [[known.model, known.said], ...votes] : votes;
  const lines = all_.map(([name, said]) => make("div", {}, make("dt", {}, name),
    make("dd", { class: said[0][place] === known.true[place] && "right" }, className(said[0][place]) + percent(said, place))));
  const near = (known.near[place] ?? []).filter((each) => each !== row);
  one("[data-viewed]", viewer).replaceChildren(
    picture ? make("img", { src: picture, alt: `image labelled ${labelAt(place)}`, width: 160, height: 160 }) : make("span", { class: "no-picture" }, "no picture in this report"),
    make("div", {},
      make("h2", { id: "viewer-title" }, labelAt(place) ? `labelled ${labelAt(place)}` : "not labelled"),
      make("code", { class: "path" }, known.path[place]),
      known.split && known.split.names[known.split.codes[place]] && make("p", { class: "quiet" }, `split ${known.split.names[known.split.codes[place]]}`),
      lines.length > 0 && make("dl", { class: "votes" }, ...lines),
      near.length > 0 && make("h3", {}, "Most alike, of the pictured images"),
      near.length > 0 && make("div", { class: "strip", "data-near": "" }, ...near.map((each) => opener(each, 88)))));
  const isNeighbour = row !== turned[at];
  // A button that is truly disabled loses the focus, and with it whoever turns by keyboard.
  previousButton.setAttribute("aria-disabled", String(at === 0 && !isNeighbour));
  nextButton.setAttribute("aria-disabled", String(at === turned.length - 1));
  const told = `${at + 1} of ${turned.length}`;
  one("[data-at]", viewer).textContent = isNeighbour ? `like image ${told}` : turned.length > 1 ? told : "";
}
/** Go on in the list; from a neighbour, back to the image that it is like. */
function turn(step) {
  const place = step < 0 && shownRow !== turned[at] ? at : at + step;
  if (place >= 0 && place < turned.length) turnTo(place);
}
for (const button of [previousButton, nextButton]) button.addEventListener("click", () => turn(Number(button.dataset.turn)));
one("[data-close]", viewer).addEventListener("click", () => viewer.close());
addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !viewer.open || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  turn(step);
});
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close(); // beside it
});
addEventListener("click", (event) => {
  const button = event.target.closest("[data-open]");
  if (!button) return;
  const row = Number(button.dataset.open);
  if (viewer.contains(button)) return showImage(row), previousButton.focus();
  const list = button.closest("ul, .strip") ?? button.parentElement;
  openImage(row, all("[data-open]", list).filter((each) => each.offsetParent).map((each) => Number(each.dataset.open)));
});

// What is under the pointer: its picture, its label, its path

const tooltip = one(".tooltip");
let pointedAt = -1;
let toldBefore = -1; // what the tooltip told of when the screen was touched
function showTooltip({ points: [point], event }) {
  const row = point.customdata;
  const place = placeOf.get(row);
  if (place === undefined) return;
  pointedAt = row;
  const picture = one("img", tooltip);
  picture.hidden = !report.thumbnails[row];
  if (!picture.hidden) picture.src = report.thumbnails[row];
  const wrong = known.said && known.said[0][place] >= 0 && known.said[0][place] !== known.true[place];
  one("b", tooltip).textContent = labelAt(place);
  one("span", tooltip).textContent = wrong ? `taken for ${className(known.said[0][place])}` : "";
  one("code", tooltip).textContent = known.path[place];
  tooltip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = tooltip;
  tooltip.style.left = `${Math.max(8, Math.min(event.clientX + 16, innerWidth - width - 8))}px`;
  tooltip.style.top = `${Math.max(8, event.clientY + 16 + height > innerHeight ? event.clientY - height - 16 : event.clientY + 16)}px`;
}
function hideTooltip() {
  tooltip.hidden = true;
}
/** A click enlarges what is under it; a finger, which does not hover, first sees what that is. */
function clickPoint(data) {
  const row = data.points[0].customdata;
  if (typeof row !== "number") return;
  if (touch && toldBefore !== row) showTooltip(data);
  else openImage(row);
}
for (const type of ["keydown", "scroll"]) addEventListener(type, hideTooltip, { passive: true });
addEventListener("pointerdown", () => {
  toldBefore = tooltip.hidden ? -1 : pointedAt;
  hideTooltip();
}, { passive: true });
