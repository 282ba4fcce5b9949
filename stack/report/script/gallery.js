// Lists of images that are made here, a screenful at a time

const SCREENFUL = 24;
const waiting = new WeakMap(); // list to the rows that are not shown yet, and what makes their cards
function listCards(list, rows, makeCard = (row) => card(row)) {
  list.replaceChildren(...rows.slice(0, SCREENFUL).map(makeCard));
  waiting.set(list, { rest: rows.slice(SCREENFUL), makeCard });
  const button = list.nextElementSibling;
  button.hidden = rows.length <= SCREENFUL;
  button.textContent = `Show more of ${rows.length.toLocaleString("en")}`;
}
for (const button of all("[data-next]")) {
  button.addEventListener("click", () => {
    const list = button.previousElementSibling;
    const { rest, makeCard } = waiting.get(list);
    const next = rest.slice(0, SCREENFUL).map(makeCard);
    list.append(...next);
    waiting.set(list, { rest: rest.slice(SCREENFUL), makeCard });
    button.hidden = rest.length <= SCREENFUL;
    one("button", next[0]).focus(); // whoever pressed it by keyboard reads on here
  });
}

// The gallery: all images, by what is wrong with them, by class, by who says so, by name

const gallery = one("[data-gallery]");
if (gallery) {
  const [kind, label, taken, model, name] = ["kind", "label", "taken", "model", "name"].map((each) => one(`[data-by="${each}"]`, gallery));
  const suspects = new Set(report.suspects);
  const said = () => (model && model.value ? known.votes[model.value] : known.said);
  const isWrong = (place) => said()[0][place] >= 0 && said()[0][place] !== known.true[place];
  const everyone = (place) => Object.values(known.votes).map(([codes]) => codes[place]);
  const KINDS = {
    all: () => true,
    wrong: isWrong,
    right: (place) => said()[0][place] >= 0 && said()[0][place] === known.true[place],
    label: (place) => suspects.has(known.row[place]),
    against: (place) => isWrong(place) && everyone(place).every((code) => code === said()[0][place]),
    overruled: (place) => new Set(everyone(place)).size === 1 && everyone(place)[0] !== known.said[0][place],
  };
  function showGallery() {
    const wanted = name.value.trim().toLowerCase();
    const found = known.row.filter((_, place) =>
      (!kind || KINDS[kind.value](place)) && (!label || label.value === "" || known.true[place] === Number(label.value)) &&
      (!taken || taken.value === "" || said()[0][place] === Number(taken.value)) && known.path[place].toLowerCase().includes(wanted));
    one("[role=status]", gallery).textContent = (found.length === 1 ? "1 image" : `${found.length.toLocaleString("en")} images`) + sampled;
    found.sort((a, b) => Boolean(report.thumbnails[b]) - Boolean(report.thumbnails[a]));
    const other = model?.value ?? "";
    listCards(one("ul", gallery), found, (row) => card(row, said(), other));
  }
  for (const each of [kind, label, taken, model, name]) each?.addEventListener("input", showGallery);
  showGallery();
}

// Cards that are in the page already: those that a search and choices leave

for (const controls of all("[data-cards]")) {
  const list = document.getElementById(controls.dataset.cards);
  const cards = [...list.children];
  const more = one(`.more[aria-controls="${list.id}"]`);
  const fields = all("[data-filter]", controls);
  const narrow = () => {
    const asked = fields.filter((each) => each.value !== "");
    const fits = (item) => asked.every((each) => (each.tagName === "SELECT" ? item.dataset[each.dataset.filter] === each.value : item.dataset[each.dataset.filter].toLowerCase().includes(each.value.trim().toLowerCase())));
    list.classList.toggle("narrowed", asked.length > 0);
    if (more) more.hidden = asked.length > 0;
    let n = 0;
    for (const item of cards) n += !(item.hidden = !fits(item));
    one("[role=status]", controls).textContent = `${n.toLocaleString("en")} of ${cards.length.toLocaleString("en")}`;
  };
  for (const each of fields) each.addEventListener("input", narrow);
  narrow();
}

// Labels to correct: ticked, changed, and written as CSV

/** Quote a cell, and let no spreadsheet take it for a formula: as the tool's own tables are written. */
function csvCell(text) {
  const isNumber = text.trim() === text && text !== "" && Number.isFinite(Number(text));
  const plain = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) && !isNumber ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
for (const controls of all("[data-corrections]")) {
  const list = document.getElementById(controls.dataset.corrections);
  const ticks = all("input[type=checkbox]", list);
  const download = one("[data-download]", controls);
  const count = () => {
    const n = ticks.filter((each) => each.checked).length;
    download.textContent = `Download ${n.toLocaleString("en")} as CSV`;
    download.disabled = n === 0;
  };
  list.addEventListener("input", (event) => {
    const item = event.target.closest("li");
    if (event.target.type === "text") one("input[type=checkbox]", item).checked = true; // who corrects it means it
    count();
  });
  one("[data-tick-all]", controls).addEventListener("click", () => {
    const seen = ticks.filter((each) => each.offsetParent);
    const tick = seen.some((each) => !each.checked);
    for (const each of seen) each.checked = tick;
    count();
  });
  download.addEventListener("click", () => {
    const chosen = ticks.filter((each) => each.checked).map((each) => each.closest("li"));
    const lines = chosen.map((item) => {
      const place = placeOf.get(Number(item.dataset.row)); // attributes lose what of a name is a line end
      return [known.path[place], one("input[type=text]", item).value.trim(), labelAt(place)].map(csvCell).join(",");
    });
    const file = new Blob([["path,label,was", ...lines, ""].join("\n")], { type: "text/csv;charset=utf-8" });
    const link = make("a", { href: URL.createObjectURL(file), download: "corrections.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
  count();
}
