// The controls of views and the words of the page: what the viewer and the demonstration page share.

import { Views } from "./views.js";

const PRESETS = { soft: [400, 40], lung: [1500, -600], bone: [1800, 400] }; // width and level in HU
const OVERLAYS = { f: "flicker", w: "wipe", a: "after" };
const FLICKER_MS = 600;
const NO_MEMORY = "The browser has not enough memory for this volume; close other pages, or crop the volume";
const VIEW = `
  <h2 id="view-title">View</h2>
  <label>Plane
    <select id="plane">
      <option value="revealing">Across the slices</option>
      <option value="axial">Axial</option>
      <option value="coronal">Coronal</option>
      <option value="sagittal">Sagittal</option>
    </select>
  </label>
  <label>Window
    <select id="preset">
      <option value="auto">As the values are</option>
      <option value="soft">CT soft tissue</option>
      <option value="lung">CT lung</option>
      <option value="bone">CT bone</option>
      <option value="custom">Custom</option>
    </select>
  </label>
  <div class="pair">
    <label>Width <input type="number" id="width" min="0" step="any"></label>
    <label>Level <input type="number" id="level" step="any"></label>
  </div>
  <label>In the middle view
    <select id="overlay" disabled>
      <option value="after">After alone</option>
      <option value="wipe">Wipe to before</option>
      <option value="flicker">Flicker with before</option>
    </select>
  </label>
  <label id="wipe-field" hidden>Wipe
    <input type="range" id="wipe" min="0" max="1" step="0.01" value="0.5">
  </label>`;
const KEYS = `
  <summary>Keys and mouse</summary>
  <dl class="keys">
    <dt>Wheel, Up, Down</dt><dd>slices</dd>
    <dt>Page Up, Page Down</dt><dd>ten slices</dd>
    <dt>Left, Right</dt><dd>wipe</dd>
    <dt>F, W, A</dt><dd>flicker, wipe, after alone</dd>
    <dt>Drag</dt><dd>window and level; the wipe where it is on</dd>
  </dl>`;

export const by = (id) => document.getElementById(id);
export const capital = (text) => text[0].toUpperCase() + text.slice(1);

export function tell(text, isWrong = false) {
  // A step that is said already would be read out again; an error is to be.
  if (isWrong || by("message").textContent !== text) by("message").textContent = text;
  by("message").classList.toggle("wrong", isWrong);
}

// Shows why something failed; for lack of memory, each browser throws a RangeError with words of its own.
const blame = (problem) => tell(problem.name === "RangeError" ? NO_MEMORY : capital(problem.message), true);

// Runs what a control does, and shows why it failed.
export const attempt = (action) => async (event) => {
  event?.preventDefault();
  try {
    await action(event);
  } catch (problem) {
    blame(problem);
  }
};

export const on = (id, kind, action) => by(id).addEventListener(kind, attempt(action));

// Hands over the files that are chosen, and those that are dropped on the images.
export function onFiles(take) {
  by("file").addEventListener("click", () => { by("file").value = ""; }); // the same file can be chosen again
  on("file", "change", () => take([...by("file").files]));
  on("views", "dragover", () => by("views").classList.add("dropping"));
  on("views", "dragleave", () => by("views").classList.remove("dropping"));
  on("views", "drop", (event) => {
    by("views").classList.remove("dropping");
    if ([...event.dataTransfer.items].some((item) => item.webkitGetAsEntry()?.isDirectory)) {
      throw new Error("a folder was dropped; drop its files instead");
    }
    return take([...event.dataTransfer.files]);
  });
}

// Names and texts as the entries of a list of descriptions.
export const listed = (texts) => Object.entries(texts).flatMap(([name, text]) =>
  [["dt", name], ["dd", text]].map(([kind, textContent]) => Object.assign(document.createElement(kind), { textContent })));

export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export class ViewControls {
  // Fills the sections "view" and "keys" of the page. load: gives slices, see `Slices`.
  constructor(load) {
    by("view").innerHTML = VIEW;
    by("keys").innerHTML = KEYS;
    this.views = new Views(by("views"), load, (what) => this.showChange(what), blame);
    this.volume = null;
    this.listen();
  }

  // Builds the views anew: for another volume, a result, or other planes.
  show(volume = this.volume, { isOther = false } = {}) {
    this.volume = volume;
    if (isOther) this.views.window = null;
    by("overlay").disabled = !volume?.images.includes("after");
    this.showWipe();
    if (!volume) return;
    by("size").textContent = volume.size_after ? `${volume.size_before}, now ${volume.size_after}` : volume.size_before;
    for (const name of Object.keys(PRESETS)) by("preset").querySelector(`[value=${name}]`).disabled = !volume.is_ct;
    if (!this.views.window) this.choosePreset("auto");
    const plane = by("plane").value;
    this.views.show(volume, plane === "revealing" ? volume.revealing : [plane]);
  }

  // Shows what the mouse or a key changed.
  showChange(what) {
    if (what === "window") this.showWindow("custom");
    else by("wipe").value = this.views.wipe;
  }

  showWindow(preset) {
    [by("width").value, by("level").value] = this.views.window.map((value) => Number(value.toPrecision(5)));
    by("preset").value = preset;
  }

  choosePreset(name) {
    const [low, high] = this.volume.window;
    this.views.window = PRESETS[name] || (name === "auto" ? [high - low, (low + high) / 2] : this.views.window);
    this.showWindow(name);
  }

  chooseOverlay(name) {
    if (by("overlay").disabled) return;
    by("overlay").value = name;
    this.showWipe();
    Object.assign(this.views, { overlay: name, isBefore: false });
    this.views.redraw();
  }

  showWipe() {
    by("wipe-field").hidden = by("overlay").disabled || by("overlay").value !== "wipe";
  }

  chooseWindow() {
    const { views } = this;
    if (!views.window) return;
    const [width, level] = ["width", "level"].map((id) => by(id).valueAsNumber);
    views.window = [width > 0 ? width : views.window[0], Number.isFinite(level) ? level : views.window[1]];
    this.showWindow("custom");
    views.redraw();
  }

  listen() {
    const { views } = this;
    on("plane", "change", () => this.show());
    on("preset", "change", () => {
      if (views.window) this.choosePreset(by("preset").value);
      views.redraw();
    });
    for (const id of ["width", "level"]) on(id, "change", () => this.chooseWindow());
    on("overlay", "change", () => this.chooseOverlay(by("overlay").value));
    on("wipe", "input", () => {
      views.wipe = Number(by("wipe").value);
      views.redraw();
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=range]), select")) return;
      const overlay = OVERLAYS[event.key.toLowerCase()];
      if (overlay) this.chooseOverlay(overlay);
    });
    window.addEventListener("resize", () => views.redraw());
    setInterval(() => {
      if (views.overlay !== "flicker") return;
      views.isBefore = !views.isBefore;
      views.redraw();
    }, FLICKER_MS);
  }
}
