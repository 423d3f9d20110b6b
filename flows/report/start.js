// Keys, switches, and what is read only when it is looked at.
const WINDOW_KEYS = { lung: "1", mediastinum: "2", bone: "3" };
const search = document.getElementById("search");

function setWindow(name) {
  document.documentElement.dataset.window = name;
  for (const input of document.querySelectorAll('input[name="window"], input[name="viewer-window"]')) input.checked = input.value === name;
}

for (const input of document.querySelectorAll('#gallery input[type="radio"]')) {
  input.addEventListener("change", () => {
    if (input.name === "window") return setWindow(input.value);
    view[input.name] = input.value;
    setUp();
    restart();
  });
}
search.addEventListener("input", restart);
document.getElementById("sort").addEventListener("change", (event) => {
  view.sort[view.what] = event.target.value;
  restart();
});
document.getElementById("turn").addEventListener("click", () => {
  view.up = !view.up;
  restart();
});
document.getElementById("clear").addEventListener("click", () => {
  search.value = "";
  DATA[view.what].chosen = {};
  setUp();
  restart();
  search.focus();
});
document.getElementById("more").addEventListener("click", showMore);
document.getElementById("help").addEventListener("click", () => document.getElementById("keys").showModal());
viewer.addEventListener("close", () => items.querySelector(`[data-i="${lastOpened}"]`)?.focus());
let lastOpened = null;
items.addEventListener("click", (event) => {
  lastOpened = event.target.closest("[data-i]")?.dataset.i ?? lastOpened;
});

function move(by) {
  const all = [...items.querySelectorAll("[data-i]")];
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function inViewer(key) {
  const slices = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
  if (key in slices) setSlice(now.slice + slices[key]);
  else if (key === "ArrowLeft" || key === "k") go(-1);
  else if (key === "ArrowRight" || key === "j") go(1);
  else if (key === "Home") setSlice(0);
  else if (key === "End") setSlice(count() - 1);
  else if (key === "a") setPlane(Object.keys(PLANES)[(Object.keys(PLANES).indexOf(now.plane) + 1) % 3]);
  else return false;
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input[type=search], input[type=number], select, textarea");
  if (event.key === "Escape" && event.target === search) {
    search.value = "";
    restart();
    search.blur();
  }
  if (typing) return;
  const name = Object.keys(WINDOW_KEYS).find((each) => WINDOW_KEYS[each] === event.key);
  if (name) setWindow(name);
  else if (event.key === "c") document.documentElement.classList.toggle("no-contours");
  else if (viewer.open) {
    if (!event.target.matches("input[type=radio]") && inViewer(event.key)) event.preventDefault();
  } else if (event.key === "/") {
    event.preventDefault();
    search.focus();
  } else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "?") document.getElementById("keys").showModal();
});

const times = document.getElementById("times-here");
window.lungtwinTimes = (section) => { times.innerHTML = section; };
new IntersectionObserver((entries, observer) => {
  if (!entries[0].isIntersecting) return;
  observer.disconnect();
  const script = make("script", { src: "../run/times.js" });
  script.onerror = () => { document.getElementById("times-state").textContent = "It is not beside this file."; };
  document.body.append(script);
}).observe(times);

for (const key of ["what", "as", "window"]) document.querySelector(`#gallery input[name="${key}"]`).checked = true;
setUp();
restart();
