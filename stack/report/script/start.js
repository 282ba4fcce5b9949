// What the page knows: figures, and every image by its row in the dataset's index

const report = JSON.parse(document.getElementById("report-data").textContent);
const root = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector, within = document) => within.querySelector(selector);
const config = { displayModeBar: false, responsive: false, scrollZoom: false, doubleClick: "reset" };

const known = report.catalogue;
const placeOf = new Map(known.row.map((row, place) => [row, place]));
const className = (code) => (code >= 0 ? report.classes[code] : "");
const percent = (said, place) => (said[1] ? ` ${said[1][place]}%` : "");
const sampled = known.of ? `, in a sample of ${known.row.length.toLocaleString("en")} of all ${known.of.toLocaleString("en")}` : "";
const labelAt = (place) => known.label.names[known.label.codes[place]];

/** Return an element; what is text stays text, and false and null leave an attribute or a child out. */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== false && value !== null) made.setAttribute(key, value);
  made.append(...children.filter((each) => each !== null && each !== false));
  return made;
}

// Pictures: the data of each is in the file once, and is decoded where it comes near the screen

function fill(image) {
  image.src = image.dataset.image ? report.thumbnails[image.dataset.image] : report.attention[image.dataset.attention];
}
const nearScreen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    nearScreen.unobserve(target);
    fill(target);
  }
}, { rootMargin: "600px" });
for (const image of all("img[data-image], img[data-attention]")) nearScreen.observe(image);

/** Return a button that enlarges an image: its picture, or in its place that there is none. */
function opener(row, size = 160) {
  const place = placeOf.get(row);
  const picture = report.thumbnails[row] ? make("img", { "data-image": row, alt: "", width: size, height: size, decoding: "async" }) : make("span", { class: "no-picture" }, "no picture");
  if (picture.tagName === "IMG") fill(picture);
  return make("button", { type: "button", class: "open", "data-open": row, "aria-label": `Enlarge ${known.path[place]}, labelled ${labelAt(place) || "nothing"}` }, picture);
}

/** Return an image as a card: what it is labelled, what the page's model or another, then named, takes it for, where it lies. */
function card(row, said = known.said, by = "") {
  const place = placeOf.get(row);
  const taken = said && said[0][place] >= 0 && said[0][place] !== known.true[place];
  return make("li", {},
    make("div", { class: "thumbnail" }, opener(row)),
    make("p", {}, ...(labelAt(place) ? ["labelled ", make("b", {}, labelAt(place))] : ["not labelled"])),
    taken && make("p", {}, "taken for ", make("b", {}, className(said[0][place])), percent(said, place), by && ` by ${by}`),
    make("code", { class: "path" }, known.path[place]));
}
