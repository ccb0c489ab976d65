// What the views show: slices of a volume, alone or beside its result, on the grid of the result.

import { described, planeOf, revealingPlanes, throughPlaneAxis } from "./grid.js";
import { percentile } from "./intensity.js";
import { cubic, places } from "./physics.js";

const PLANES = ["axial", "coronal", "sagittal"];
const STEP = 3; // of slices and pixels that are looked at for the range of the difference
const LOOKED_AT = 20_000_000; // pixels of those slices at most, about: they are computed while the page waits

export class Comparison {
  // meaning: see `meaningOf`. after: { values, grid, axis, factor }, or null.
  constructor(volume, meaning, after = null) {
    Object.assign(this, { volume, after, grid: after?.grid ?? volume });
    const { counts } = this.grid;
    const axis = after?.axis ?? throughPlaneAxis(volume);
    this.axis = axis;
    this.taps = cubic(volume.counts[axis], places(counts[axis], after?.factor ?? 1));
    this.planes = Object.fromEntries(PLANES.map((name) => [name, planeOf(this.grid, name)]));
    this.described = {
      images: after ? ["before", "after", "difference"] : ["before"],
      planes: this.planes,
      revealing: revealingPlanes(volume),
      window: meaning.window,
      is_ct: meaning.modality === "ct",
      size_before: described(volume),
      size_after: after ? described(after.grid) : null,
    };
    if (after) this.described.difference_limit = this.differenceLimit();
  }

  // The pixels of a slice, (rows, columns).
  pixels(image, name, number) {
    if (image === "difference") {
      const before = this.pixels("before", name, number);
      return this.pixels("after", name, number).map((value, n) => value - before[n]);
    }
    const plane = this.planes[name];
    const [rows, columns] = [this.grid.counts[plane.rows], this.grid.counts[plane.columns]];
    const made = new Float32Array(rows * columns);
    const place = [0, 0, 0];
    place[plane.across] = number;
    const value = image === "after" ? this.measuredAfter(place) : this.interpolatedBefore(place);
    for (let row = 0; row < rows; row += 1) {
      place[plane.rows] = plane.turnsRows ? rows - 1 - row : row;
      for (let column = 0; column < columns; column += 1) {
        place[plane.columns] = plane.turnsColumns ? columns - 1 - column : column;
        made[row * columns + column] = value();
      }
    }
    return made;
  }

  measuredAfter(place) {
    const { values, grid: { counts: [I, J] } } = this.after;
    return () => values[(place[2] * J + place[1]) * I + place[0]];
  }

  interpolatedBefore(place) {
    const { values, counts: [I, J] } = this.volume;
    const step = [1, I, I * J][this.axis];
    return () => {
      const { taps, weights } = this.taps[place[this.axis]];
      const start = (place[2] * J + place[1]) * I + place[0] - place[this.axis] * step;
      let sum = 0;
      for (let n = 0; n < 4; n += 1) sum += weights[n] * values[start + taps[n] * step];
      return sum;
    };
  }

  differenceLimit() {
    const [name] = this.described.revealing;
    const voxels = this.grid.counts.reduce((product, count) => product * count, 1);
    const step = Math.max(STEP, Math.ceil(voxels / LOOKED_AT));
    const sizes = [];
    for (let number = 0; number < this.planes[name].count; number += step) {
      const pixels = this.pixels("difference", name, number);
      for (let n = 0; n < pixels.length; n += STEP) sizes.push(Math.abs(pixels[n]));
    }
    return percentile(Float32Array.from(sizes).sort(), 99.5) || 1;
  }

  // As a server would answer; see `Slices`.
  async answer(path) {
    const [, image, name, number] = path.split("/");
    const { rows, columns } = this.planes[name];
    const { counts } = this.grid;
    const headers = new Headers({ "X-Type": "float32", "X-Rows": counts[rows], "X-Columns": counts[columns] });
    return { headers, arrayBuffer: async () => this.pixels(image, name, Number(number)).buffer };
  }
}
