// Navigation and copying

const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
const strip = one("nav ul");
/** Say that there are sections further to the right, where the screen is narrow. */
function showFurther() {
  one(".further").hidden = strip.scrollLeft + strip.clientWidth >= strip.scrollWidth - 4;
}
strip.addEventListener("scroll", showFurther, { passive: true });
new ResizeObserver(showFurther).observe(strip);
const reading = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = links.get(target.id);
    link.setAttribute("aria-current", "true");
    const { offsetLeft: start, offsetWidth: width } = link.parentElement;
    if (start < strip.scrollLeft || start + width > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = start - strip.clientWidth / 3;
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
