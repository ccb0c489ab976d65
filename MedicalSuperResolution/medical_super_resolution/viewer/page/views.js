// The images of the page: a row for each plane, a view for each image, linked by slice, window and overlay.

import { Slices, diverging, draw, gray } from "./images.js";

const TITLES = { before: "Before", after: "After", difference: "Difference, after - before" };
const MOVES = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

function made(kind, parent, settings = {}) {
  return parent.appendChild(Object.assign(document.createElement(kind), settings));
}

export class Views {
  // container: takes the rows. load: asks the server. changed: takes "window" or "wipe", which the mouse or a key
  // changed. failed: takes an error.
  constructor(container, load, changed, failed) {
    Object.assign(this, { container, changed, failed, slices: new Slices(load), rows: [], parts: {} });
    Object.assign(this, { window: null, overlay: "after", wipe: 0.5, isBefore: false });
  }

  // Shows a volume, anew or in other planes, at the places where they were.
  show(volume, planes) {
    if (volume !== this.volume) this.slices.forget();
    Object.assign(this, { volume, limit: volume.difference_limit });
    this.rows = planes.map((plane) => this.row(plane, volume));
    this.container.replaceChildren(...this.rows.map((row) => row.element));
    this.redraw();
  }

  row(plane, volume) {
    const described = volume.planes[plane];
    const title = plane[0].toUpperCase() + plane.slice(1);
    const element = Object.assign(document.createElement("section"), { className: "row", ariaLabel: title });
    const images = made("div", element, { className: "images" });
    const row = { plane, title, described, element, captions: {}, canvases: {}, places: {} };
    for (const image of volume.images) {
      const figure = made("figure", images);
      row.captions[image] = made("figcaption", figure, { textContent: TITLES[image] });
      const named = { tabIndex: 0, role: "img", ariaLabel: `${TITLES[image]}, ${title}` };
      const canvas = made("canvas", made("div", figure, { className: "picture" }), named);
      row.canvases[image] = canvas;
      this.listen(row, image, canvas);
    }
    const label = made("label", element);
    row.text = made("span", label);
    row.slider = made("input", label, { type: "range", min: 0, max: described.count - 1, step: 1 });
    const part = this.parts[plane] ?? 0.5; // where in the volume, whatever its slices
    row.slider.value = Math.round(part * (described.count - 1));
    row.slider.addEventListener("input", () => this.moveTo(row, Number(row.slider.value)));
    return row;
  }

  moveTo(row, number) {
    const last = row.described.count - 1;
    row.slider.value = Math.max(0, Math.min(last, number));
    this.parts[row.plane] = last ? Number(row.slider.value) / last : 0.5;
    this.redrawRow(row);
  }

  listen(row, image, canvas) {
    const step = (count) => this.moveTo(row, Number(row.slider.value) + count);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      step(-Math.sign(event.deltaY)); // upwards to the next, as in Slicer; 0 where it moves sideways
    });
    canvas.addEventListener("keydown", (event) => {
      if (MOVES[event.key]) step(MOVES[event.key]);
      else if (event.key === "ArrowLeft") this.moveWipe(this.wipe - 0.02);
      else if (event.key === "ArrowRight") this.moveWipe(this.wipe + 0.02);
      else return;
      event.preventDefault();
    });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      if (event.isPrimary) this.from = event;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons && event.isPrimary && image !== "difference") this.drag(row, image, event);
    });
  }

  drag(row, image, event) {
    const place = row.places[image];
    if (image === "after" && this.overlay === "wipe") return this.moveWipe((event.offsetX - place.left) / place.width);
    const [width, level] = this.window;
    const [x, y] = [event.clientX - this.from.clientX, event.clientY - this.from.clientY]; // Safari: no moves of touch
    this.window = [width * Math.exp(x / 200), level + (y * width) / 400];
    this.from = event;
    this.changed("window");
    this.redraw();
  }

  moveWipe(part) {
    if (this.overlay !== "wipe") return;
    this.wipe = Math.max(0, Math.min(1, part));
    this.changed("wipe");
    this.redraw();
  }

  redraw() {
    for (const row of this.rows) this.redrawRow(row);
  }

  // Draws the slice that was asked for last; what is passed while another one is loaded is left out.
  async redrawRow(row) {
    row.text.textContent = this.named(row, Number(row.slider.value));
    row.isDue = true;
    if (row.isDrawn) return;
    for (row.isDrawn = true; row.isDue; await this.drawRow(row)) row.isDue = false;
    row.isDrawn = false;
  }

  named(row, number) {
    return `${row.title} slice ${number + 1} of ${row.described.count}`;
  }

  async drawRow(row) {
    const number = Number(row.slider.value);
    const names = Object.keys(row.canvases);
    let found;
    try {
      found = await Promise.all(names.map((image) => this.slices.get(image, row.plane, number)));
    } catch (problem) {
      return this.failed(problem);
    }
    if (!row.element.isConnected) return; // another volume, or other planes
    const slices = Object.fromEntries(names.map((image, at) => [image, found[at]]));
    for (const image of names) {
      const canvas = row.canvases[image];
      row.places[image] = draw(canvas, row.described, this.layers(image, slices));
      row.captions[image].textContent = this.caption(image);
      canvas.ariaLabel = `${TITLES[image]}, ${this.named(row, number)}`;
      canvas.dataset.drawn = `${image} ${number} ${image === "after" ? this.overlay : ""}`.trim();
    }
  }

  caption(image) {
    if (image === "after" && this.overlay === "wipe") return `${TITLES.before} | ${TITLES.after}`;
    return TITLES[image === "after" && this.overlay === "flicker" && this.isBefore ? "before" : image];
  }

  layers(image, slices) {
    if (image === "difference") return [{ slice: slices.difference, color: diverging(this.limit), from: 0 }];
    const [width, level] = this.window;
    const color = gray(level - width / 2, level + width / 2);
    const layer = (name, from) => ({ slice: slices[name], color, from });
    if (image === "before" || !slices.after) return [layer(image, 0)];
    if (this.overlay === "wipe") return [layer("before", 0), layer("after", this.wipe)];
    return [layer(this.overlay === "flicker" && this.isBefore ? "before" : "after", 0)];
  }
}
