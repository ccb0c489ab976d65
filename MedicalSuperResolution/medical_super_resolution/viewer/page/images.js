// Slices as values, and their pictures. Window and level are applied here, so that the values come over once.

const TYPES = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array,
  uint32: Uint32Array, float32: Float32Array, float64: Float64Array };
const KEPT = 150; // slices

export class Slices {
  constructor(load) {
    this.load = load;
    this.kept = new Map();
  }

  forget() {
    this.kept.clear();
  }

  // One slice: { rows, columns, values }. The same promise for the same slice, until many others were asked for.
  get(image, plane, number) {
    const name = `${image}/${plane}/${number}`;
    let found = this.kept.get(name);
    this.kept.delete(name);
    if (!found) {
      const kept = this.kept;
      found = this.read(name).catch((problem) => { kept.delete(name); throw problem; });
    }
    this.kept.set(name, found);
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
    return found;
  }

  async read(name) {
    const answer = await this.load(`slices/${name}`);
    const values = new TYPES[answer.headers.get("X-Type")](await answer.arrayBuffer());
    return { rows: Number(answer.headers.get("X-Rows")), columns: Number(answer.headers.get("X-Columns")), values };
  }
}

// Gray values between the ends of the window.
export function gray(low, high) {
  const scale = 255 / Math.max(high - low, 1e-12);
  return (value, pixels, at) => {
    const shade = (value - low) * scale;
    pixels[at] = pixels[at + 1] = pixels[at + 2] = shade; // a clamped array: it rounds, and holds 0 to 255
  };
}

// Black where nothing changed, orange where it became brighter, blue where darker.
export function diverging(limit) {
  return (value, pixels, at) => {
    const part = Math.max(-1, Math.min(1, value / limit));
    const size = 255 * Math.abs(part);
    pixels[at] = part > 0 ? size : 0.25 * size;
    pixels[at + 1] = 0.6 * size;
    pixels[at + 2] = part > 0 ? 0.15 * size : size;
  };
}

function bitmap(slice, color) {
  const canvas = new OffscreenCanvas(slice.columns, slice.rows);
  const context = canvas.getContext("2d");
  const data = context.createImageData(slice.columns, slice.rows);
  for (let n = 0; n < slice.values.length; n += 1) {
    color(slice.values[n], data.data, 4 * n);
    data.data[4 * n + 3] = 255;
  }
  context.putImageData(data, 0, 0);
  return canvas;
}

// Draws slices over each other into a canvas on the page, each from a part of the width on; in true proportions.
export function draw(canvas, described, layers) {
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * dense));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * dense));
  const scale = Math.min(canvas.width / described.width_mm, canvas.height / described.height_mm);
  const width = scale * described.width_mm;
  const height = scale * described.height_mm;
  const left = (canvas.width - width) / 2;
  const top = (canvas.height - height) / 2;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  for (const { slice, color, from } of layers) {
    context.save();
    context.beginPath();
    context.rect(left + from * width, top, (1 - from) * width, height);
    context.clip();
    context.drawImage(bitmap(slice, color), left, top, width, height);
    context.restore();
    if (from > 0) {
      context.fillStyle = "#ffd24a";
      context.fillRect(left + from * width - dense, top, 2 * dense, height);
    }
  }
  context.fillStyle = "#ffd24a";
  context.font = `${13 * dense}px system-ui, sans-serif`;
  context.fillText(described.left, Math.max(left, 0) + 5 * dense, canvas.height / 2);
  context.fillText(described.top, canvas.width / 2 + 5 * dense, Math.max(top, 0) + 16 * dense);
  return { left: left / dense, width: width / dense };
}
