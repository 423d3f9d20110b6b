// The gallery: images or nodules, as cards or as a table, filtered, sorted, shown bit by bit.
const PAGE = { cards: 36, table: 150 };
const view = { what: "scans", as: "cards", sort: {}, up: true, shown: PAGE.cards, list: [] };
const items = document.getElementById("items");
const filters = document.getElementById("filters");

for (const what of ["scans", "nodules"]) {
  const set = DATA[what];
  set.at = Object.fromEntries(set.columns.map((column, k) => [column.key, k]));
  set.texts = set.rows.map((row) => row.filter((value) => typeof value === "string").join(" ").toLowerCase());
  set.chosen = {};
  view.sort[what] = "id";
}
const cell = (what, i, key) => DATA[what].rows[i][DATA[what].at[key]];

/** Columns that say something here: those with a value in some row. */
const columnsOf = (what) => (DATA[what].used ??= DATA[what].columns.filter((column, k) =>
  DATA[what].rows.some((row) => row[k] !== null && row[k] !== "")));

function setUp() {
  const set = DATA[view.what];
  const sort = document.getElementById("sort");
  sort.replaceChildren(...columnsOf(view.what).map((column) =>
    make("option", { value: column.key }, column.title + (column.unit ? ` [${column.unit}]` : ""))));
  sort.value = view.sort[view.what];
  const parts = [];
  for (const column of columnsOf(view.what).filter((c) => c.filters)) {
    const counts = new Map();
    for (const row of set.rows) counts.set(row[set.at[column.key]], (counts.get(row[set.at[column.key]]) || 0) + 1);
    if (counts.size < 2) continue;
    const values = [...counts.keys()].sort();
    const select = make("select", { "data-key": column.key, onchange: () => {
      set.chosen[column.key] = select.value;
      restart();
    } }, make("option", { value: "" }, "all"),
      ...values.map((value) => make("option", { value }, `${value || "not known"} (${counts.get(value)})`)));
    select.value = set.chosen[column.key] || "";
    parts.push(make("label", {}, make("span", {}, column.title), select));
  }
  if (view.what === "nodules" && set.rows.length) parts.push(range("diameter", "diameter [mm]"));
  if (view.what === "scans" && set.rows.length) parts.push(range("ctdi", "CTDIvol [mGy]"));
  filters.replaceChildren(...parts);
}

function range(key, title) {
  const chosen = DATA[view.what].chosen;
  const field = (end, name) => make("input", { type: "number", min: 0, step: "any", inputmode: "decimal", "data-key": key + end,
    placeholder: name, "aria-label": `${title}, ${name}`, value: chosen[key + end] || null,
    oninput: (event) => {
      chosen[key + end] = event.target.value;
      restart();
    } });
  return make("div", { class: "range" }, make("span", {}, title), field(">", "from"), field("<", "to"));
}

function fits(i) {
  const set = DATA[view.what], wanted = document.getElementById("search").value.trim().toLowerCase();
  if (wanted && !wanted.split(/\s+/).every((word) => set.texts[i].includes(word))) return false;
  return Object.entries(set.chosen).every(([key, value]) => {
    if (value === "" || value === undefined) return true;
    const end = key.slice(-1);
    if (end !== ">" && end !== "<") return cell(view.what, i, key) === value;
    const number = cell(view.what, i, key.slice(0, -1));
    return number !== null && (end === ">" ? number >= Number(value) : number <= Number(value));
  });
}

function restart() {
  const set = DATA[view.what], at = set.at[view.sort[view.what]], sign = view.up ? 1 : -1;
  const rank = (a, b) => {
    const [x, y] = [set.rows[a][at], set.rows[b][at]];
    if (x === y) return a - b;
    if (x === null || x === "") return 1;
    if (y === null || y === "") return -1;
    return sign * (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
  };
  view.list = set.rows.map((_, i) => i).filter(fits).sort(rank);
  view.shown = 0;
  const name = view.what === "scans" ? "images" : "nodules in images";
  document.getElementById("count").textContent =
    view.list.length === set.rows.length ? `${set.rows.length} ${name}` : `${view.list.length} of ${set.rows.length} ${name}`;
  const search = document.getElementById("search").value;
  document.getElementById("clear").hidden = !search && !Object.values(set.chosen).some((value) => value);
  const turn = document.getElementById("turn");
  turn.textContent = view.up ? "↑" : "↓";
  turn.title = view.up ? "Ascending; click to reverse" : "Descending; click to reverse";
  items.replaceChildren(view.as === "table" ? emptyTable() : make("div", { class: `cards ${view.what}` }));
  showMore();
}

function showMore() {
  const next = view.list.slice(view.shown, view.shown + PAGE[view.as]);
  const into = view.as === "table" ? items.querySelector("tbody") : items.firstChild;
  into.append(...next.map(view.as === "table" ? rowOf : cardOf));
  view.shown += next.length;
  document.getElementById("more").hidden = view.shown >= view.list.length;
  if (!view.list.length) items.replaceChildren(make("p", { class: "note" }, "Nothing fits these filters."));
}

const near = new IntersectionObserver((entries) => entries.forEach((entry) => {
  if (!entry.isIntersecting) return;
  near.unobserve(entry.target);
  entry.target.fill();
}), { rootMargin: "300px" });
new IntersectionObserver((entries) => {
  if (entries[0].isIntersecting && view.shown && view.shown < view.list.length) showMore();
}, { rootMargin: "600px" }).observe(document.getElementById("more"));

const scanOf = (i) => (view.what === "scans" ? i : DATA.nodules.places[i][0]);

function open(i) {
  openViewer(scanOf(i), view.what === "nodules" ? DATA.nodules.places[i][1] : null,
    [...new Set(view.list.map(scanOf))]);
}

function cardOf(i) {
  const picture = make("div", { class: "picture" });
  const card = make("button", { type: "button", class: "card", "data-i": i, onclick: () => open(i) }, picture);
  const value = (key) => spelled(DATA[view.what].columns[DATA[view.what].at[key]], cell(view.what, i, key));
  if (view.what === "scans") {
    card.append(make("b", {}, value("id")), make("span", { class: "line" }, value("scanner")),
      make("span", { class: "line" }, `${value("protocol")} · ${value("kvp")} kV · ${value("ctdi")} mGy`),
      make("span", { class: "line" }, `${value("kernel")} · ${value("slice")} mm · nodules: ${value("nodules")}`));
  } else {
    const outcome = cell("nodules", i, "outcome");
    card.append(make("span", { class: "head" }, make("b", {}, value("id")),
      make("span", { class: `chip ${outcome}` }, outcome)),
      make("span", { class: "line" }, `${value("type")} · ${value("diameter")} mm · ${value("volume")} mm³`),
      make("span", { class: "line" }, `${value("lobe")} · ${value("image")}`));
  }
  picture.fill = async () => {
    const found = await picturesOf(scanOf(i));
    if (view.what === "scans") {
      const shape = found && found.volume;
      picture.replaceChildren(found ? make("img", { class: "ct", alt: `axial slice of ${value("id")}`, src: source(shape.thumb),
        style: `aspect-ratio:${shape.nx}/${shape.ny}` }) : make("span", { class: "none" }, "no picture"));
    } else {
      const nodule = found && found.nodules[DATA.nodules.places[i][1]];
      picture.replaceChildren(nodule ? planesOf(nodule, value("id"))
        : make("span", { class: "none" }, found ? "outside this image" : "no picture"));
    }
  };
  near.observe(picture);
  return card;
}

function emptyTable() {
  const head = columnsOf(view.what).map((column) => {
    const sorted = view.sort[view.what] === column.key;
    return make("th", { class: column.digits === null ? "t" : null, scope: "col",
      "aria-sort": sorted ? (view.up ? "ascending" : "descending") : "none" },
    make("button", { type: "button", class: "plain", "data-key": column.key, onclick: () => {
      view.up = sorted ? !view.up : true;
      view.sort[view.what] = column.key;
      document.getElementById("sort").value = column.key;
      restart();
      items.querySelector(`th button[data-key="${column.key}"]`).focus();
    } }, column.title + (sorted ? (view.up ? " ↑" : " ↓") : "")),
    column.unit ? make("small", {}, column.unit) : null);
  });
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" },
    make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody")));
}

function rowOf(i) {
  const set = DATA[view.what];
  return make("tr", {}, ...columnsOf(view.what).map((column) => {
    const text = spelled(column, set.rows[i][set.at[column.key]]);
    if (column.key === "id") {
      return make("th", { scope: "row" }, make("button", { type: "button", class: "plain card-link", "data-i": i, onclick: () => open(i) }, text));
    }
    return make("td", { class: column.digits === null ? "t" : null }, text);
  }));
}
