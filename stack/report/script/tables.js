// Tables that sort

for (const table of all("table.sortable")) {
  const heads = all("thead th", table);
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  const compare = (a, b) => {
    const [one_, other] = [a, b].map((text) => Number(text.replace(/[,%]/g, "").replace(/ ±.*/, "")));
    if (Number.isNaN(one_) || Number.isNaN(other)) return a === "-" ? -(b !== "-") : b === "-" ? 1 : order(a, b);
    return one_ - other;
  };
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
      body.append(...[...body.rows].sort((a, b) => sign * compare(a.cells[column].textContent, b.cells[column].textContent)));
    });
  });
  if (table.dataset.sorted) heads[Number(table.dataset.sorted)].setAttribute("aria-sort", "ascending");
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
