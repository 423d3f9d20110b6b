// The viewer: slices of an image's preview in three planes, beside its original where there is one.
const viewer = document.getElementById("viewer");
const PLANES = { axial: ["z", "foot", "head"], coronal: ["y", "front", "back"], sagittal: ["x", "right", "left"] };
const now = { scan: 0, list: [], plane: "axial", slice: 0, volumes: [], places: [], shown: null, turn: 0 };

async function openViewer(scan, nodule, list) {
  const turn = ++now.turn;
  now.scan = scan;
  now.list = list;
  const found = await picturesOf(scan);
  const kinds = found ? [["simulated", found.volume], ...(found.original ? [["original CT", found.original]] : [])].reverse() : [];
  const volumes = await Promise.all(kinds.map(async ([title, volume]) => ({ title, ...volume, image: await decoded(volume.src) })));
  if (turn !== now.turn) return; // another image was asked for meanwhile
  now.volumes = volumes;
  now.places = found ? found.places : [];
  lay(found);
  if (!viewer.open) viewer.showModal();
  if (nodule !== null && now.places[nodule]) goTo(nodule);
  else setSlice(Math.floor(count() / 2));
  viewer.querySelector("#slice")?.focus();
}

function lay(found) {
  const id = cell("scans", now.scan, "id"), files = DATA.scans.files[now.scan];
  const at = now.list.indexOf(now.scan);
  const step = (by, label, key) => make("button", { type: "button", "aria-label": label, title: `${label} (${key})`,
    disabled: !(at + by in now.list), onclick: () => go(by) }, by < 0 ? "←" : "→");
  const bar = make("div", { class: "viewer-head" },
    make("h2", { id: "viewer-title" }, id), make("span", { class: "spacer" }),
    make("span", { class: "note" }, `${at + 1} of ${now.list.length}`), step(-1, "Previous image", "left arrow"), step(1, "Next image", "right arrow"),
    make("button", { type: "button", onclick: () => viewer.close(), "aria-label": "Close", title: "Close (Esc)" }, "×"));
  const choice = (name, values, value, change) => make("div", { class: "segments", role: "radiogroup", "aria-label": name },
    ...values.map((v) => make("label", {}, make("input", { type: "radio", name, value: v, checked: v === value, onchange: () => change(v) }),
      make("span", {}, v[0].toUpperCase() + v.slice(1)))));
  const tools = make("div", { class: "tools" },
    choice("viewer-plane", Object.keys(PLANES), now.plane, setPlane),
    choice("viewer-window", Object.keys(WINDOW_KEYS), document.documentElement.dataset.window, setWindow));
  const stage = make("div", { class: "stage" }, ...now.volumes.map((volume) => {
    volume.canvas = make("canvas", { class: "ct", role: "img", "aria-label": `${volume.title}, slice` });
    volume.marks = drawn("svg", { class: "over", "aria-hidden": "true" });
    return make("figure", {}, make("div", { class: "slice" }, volume.canvas, volume.marks),
      now.volumes.length > 1 ? make("figcaption", {}, volume.title) : null);
  }));
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    setSlice(now.slice + Math.sign(event.deltaY));
  }, { passive: false });
  const slider = now.volumes.length ? make("div", { class: "slider" },
    make("input", { type: "range", id: "slice", min: 0, step: 1, "aria-label": "Slice", oninput: (event) => setSlice(Number(event.target.value)) }),
    make("output", { id: "slice-at", for: "slice" })) : make("p", { class: "note" }, "This image has no pictures in this page.");
  const rows = DATA.nodules.places.map(([scan, k], i) => [scan, k, i]).filter(([scan]) => scan === now.scan);
  const nodules = rows.map(([, k, i]) => {
    const picture = found && found.nodules[k];
    const value = (key) => spelled(DATA.nodules.columns[DATA.nodules.at[key]], cell("nodules", i, key));
    return make("figure", { class: "nodule" }, picture ? planesOf(picture, value("id")) : make("p", { class: "note" }, "no picture"),
      make("figcaption", {}, make("b", {}, value("id")), ` · ${value("type")} · ${value("diameter")} mm · ${value("volume")} mm³ · ${value("lobe")}`,
        cell("nodules", i, "p") === null ? "" : ` · malignant with ${value("p")} %`, " ",
        make("span", { class: `chip ${cell("nodules", i, "outcome")}` }, value("outcome")), " ",
        now.places[k] ? make("button", { type: "button", class: "plain", onclick: () => goTo(k) }, "show in slices") : ""));
  });
  const facts = make("dl", { class: "facts" }, ...columnsOf("scans").filter((column) => column.key !== "id").flatMap((column) =>
    [make("dt", {}, column.title), make("dd", {}, spelled(column, cell("scans", now.scan, column.key)) + (column.unit ? ` ${column.unit}` : ""))]));
  const links = make("p", { class: "note" }, "Files: ", make("a", { href: "../" + files[0] }, files[0]), ", ", make("a", { href: "../" + files[1] }, files[1]),
    now.volumes.length ? `. Preview of ${now.volumes[0].nx} × ${now.volumes[0].ny} pixels and ${now.volumes[0].nz} slices, compressed: to look at, not to measure.` : "");
  viewer.replaceChildren(bar, tools, make("div", { class: "viewer-body" },
    make("div", { class: "main" }, stage, slider), make("div", { class: "side" }, ...nodules, facts, links)));
}

const count = () => (now.volumes.length ? now.volumes[0][{ axial: "nz", coronal: "ny", sagittal: "nx" }[now.plane]] : 1);

function go(by) {
  const next = now.list[now.list.indexOf(now.scan) + by];
  if (next !== undefined) openViewer(next, null, now.list);
}

function setPlane(plane) {
  const share = (now.slice + 0.5) / count();
  now.plane = plane;
  viewer.querySelector(`input[name="viewer-plane"][value="${plane}"]`).checked = true;
  setSlice(Math.floor(share * count()));
}

function goTo(k) {
  const place = now.places[k];
  setSlice(Math.floor(place[PLANES[now.plane][0]] * count()));
}

function setSlice(slice) {
  if (!now.volumes.length) return;
  now.slice = Math.max(0, Math.min(count() - 1, slice));
  const slider = viewer.querySelector("#slice"), volume = now.volumes[0];
  slider.max = count() - 1;
  slider.value = now.slice;
  const [axis, low, high] = PLANES[now.plane];
  const size = volume.mm[{ z: 0, y: 1, x: 2 }[axis]];
  const said = `${now.slice + 1} / ${count()}, ${Math.round((now.slice + 0.5) / count() * size)} mm from the ${low}`;
  slider.setAttribute("aria-valuetext", `${said}, towards the ${high}`);
  viewer.querySelector("#slice-at").textContent = said;
  for (const each of now.volumes) draw(each);
}

/** Draw the slice at its true proportions; the picture's tiles are read as they are needed. */
function draw(volume) {
  const { nx, ny, nz, columns, image } = volume, [dz, dy, dx] = volume.mm, i = now.slice;
  const [across, down, width, height] = { axial: [nx, ny, dx, dy], coronal: [nx, nz, dx, dz], sagittal: [ny, nz, dy, dz] }[now.plane];
  const small = make("canvas", { width: across, height: down }), pen = small.getContext("2d");
  const tile = (z) => [(z % columns) * nx, Math.floor(z / columns) * ny];
  if (now.plane === "axial") pen.drawImage(image, ...tile(i), nx, ny, 0, 0, nx, ny);
  for (let z = 0; now.plane !== "axial" && z < nz; z++) {
    const [x, y] = tile(z), row = nz - 1 - z; // the head is up
    if (now.plane === "coronal") pen.drawImage(image, x, y + i, nx, 1, 0, row, nx, 1);
    else {
      pen.setTransform(0, 1, 1, 0, 0, row); // a column of the tile becomes a row
      pen.drawImage(image, x + i, y, 1, ny, 0, 0, 1, ny);
    }
  }
  const scale = Math.min(2, 640 / Math.max(width, height)) * Math.min(2, window.devicePixelRatio || 1);
  volume.canvas.width = Math.round(width * scale);
  volume.canvas.height = Math.round(height * scale);
  const to = volume.canvas.getContext("2d");
  to.imageSmoothingQuality = "high";
  to.drawImage(small, 0, 0, volume.canvas.width, volume.canvas.height);
  volume.canvas.dataset.slice = i;
  mark(volume, width, height);
}

function mark(volume, width, height) {
  volume.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [dz, dy, dx] = volume.mm, size = { z: dz, y: dy, x: dx }, axis = PLANES[now.plane][0];
  const circles = now.places.map((place) => {
    if (!place) return null;
    const off = Math.abs(place[axis] * size[axis] - (now.slice + 0.5) / count() * size[axis]);
    if (off > Math.max(place.d / 2, 0.6 * size[axis] / count())) return null;
    const [h, v] = { axial: [place.x * dx, place.y * dy], coronal: [place.x * dx, (1 - place.z) * dz], sagittal: [place.y * dy, (1 - place.z) * dz] }[now.plane];
    return drawn("circle", { cx: h.toFixed(1), cy: v.toFixed(1), r: (place.d / 2 + 5).toFixed(1), class: "mark" });
  });
  volume.marks.replaceChildren(...circles.filter(Boolean));
}
