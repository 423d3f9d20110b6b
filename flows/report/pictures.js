// Data of the page and its pictures. Pictures hold CT numbers in bytes; the style of `.ct` turns them into a window.
const DATA = JSON.parse(document.getElementById("data").textContent);
const loaded = new Promise((done) =>
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", done, { once: true }) : done());
const kept = new Map();

/** The pictures of image number i; null where the page has none. */
async function picturesOf(i) {
  if (kept.has(i)) return kept.get(i);
  let element = document.getElementById("p" + i);
  if (!element) {
    await loaded; // the end of a long page may still be on its way
    element = document.getElementById("p" + i);
  }
  const found = element ? JSON.parse(element.textContent) : null;
  kept.set(i, found);
  if (kept.size > 60) kept.delete(kept.keys().next().value);
  return found;
}

const source = (data) => "data:image/webp;base64," + data;

/** A picture element that is decoded, for drawing. */
async function decoded(data) {
  const image = new Image();
  image.src = source(data);
  await image.decode();
  return image;
}

/** An element with attributes and children; text is text, never markup. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const SVG = document.querySelector("svg").namespaceURI;

/** A part of a drawing (SVG) with attributes. */
function drawn(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** A nodule's three squares with its exact boundary over them. */
function planesOf(nodule, title) {
  const width = 3 * nodule.px;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${nodule.px}`, class: "over", "aria-hidden": "true" });
  svg.append(drawn("path", { d: nodule.path, class: "contour" }));
  const step = 10 * nodule.px / nodule.mm;
  svg.append(drawn("path", { d: `M4 ${nodule.px - 5}h${step.toFixed(1)}`, class: "scale" }));
  const label = drawn("text", { x: 4, y: nodule.px - 9, class: "scale-text" });
  label.textContent = "10 mm";
  svg.append(label);
  const image = make("img", { class: "ct", src: source(nodule.src), width, height: nodule.px,
    alt: `${title} in three planes: axial, coronal, sagittal` });
  return make("div", { class: "planes" }, image, svg);
}

/** A value of a column as people read it. */
function spelled(column, value) {
  if (value === null || value === "") return "–";
  if (column.digits === null) return String(value);
  return value.toFixed(column.digits).replace(/^-/, "−");
}
