// One tile of the slice plane, refined as in medical_super_resolution/inference/refiners: the network where there is
// structure, cubic interpolation, and projection onto what reproduces the measured slices.

import { add, interpolated, project } from "./physics.js";

export const REACH = 12; // voxels that the network sees in each direction
const FILLED_SLICES = 8; // how far measured slices go on into padding
const ROUNDING = 1e-6; // of the range: below it, neighbors are the same
export const SLICES = 40; // that one run of the network is for

// The box outside which neighbors are the same, with a margin, as [from, to] along K, J, I; null where there is none.
export function foregroundBox(slices, shape, margin = REACH) {
  const [K, J, I] = shape;
  const steps = [J * I, I, 1];
  const low = [...shape];
  const high = [-1, -1, -1];
  for (let k = 0, at = 0; k < K; k += 1) {
    for (let j = 0; j < J; j += 1) {
      for (let i = 0; i < I; i += 1, at += 1) {
        const place = [k, j, i];
        for (let axis = 0; axis < 3; axis += 1) {
          if (place[axis] + 1 >= shape[axis] || Math.abs(slices[at + steps[axis]] - slices[at]) <= ROUNDING) continue;
          for (let n = 0; n < 3; n += 1) {
            low[n] = Math.min(low[n], place[n]);
            high[n] = Math.max(high[n], place[n]);
          }
        }
      }
    }
  }
  if (high[0] < 0) return null;
  return shape.map((count, n) => [Math.max(low[n] - margin, 0), Math.min(high[n] + 2 + margin, count)]);
}

// Lets the nearest measured slices (K of `size` values) go on into padding, in place; beyond, there is air (0).
export function fillPadding(slices, isPadding, count, size) {
  const measured = slices.slice();
  for (let at = 0; at < slices.length; at += 1) {
    if (!isPadding[at]) continue;
    slices[at] = 0;
    for (let distance = 1; distance <= Math.min(FILLED_SLICES, count - 1); distance += 1) {
      const near = [at - distance * size, at + distance * size];
      const known = near.filter((place) => place >= 0 && place < slices.length && !isPadding[place]);
      if (!known.length) continue;
      slices[at] = known.reduce((sum, place) => sum + measured[place], 0) / known.length;
      break;
    }
  }
}

const lowerBound = (positions, value) => {
  const found = positions.findIndex((position) => position >= value);
  return found < 0 ? positions.length : found;
};

// A box out of slices (K, J, I).
function cropped(slices, [, J, I], [[k0, k1], [j0, j1], [i0, i1]]) {
  const made = new Float32Array((k1 - k0) * (j1 - j0) * (i1 - i0));
  let into = 0;
  for (let k = k0; k < k1; k += 1) {
    for (let j = j0; j < j1; j += 1, into += i1 - i0) {
      made.set(slices.subarray((k * J + j) * I + i0, (k * J + j) * I + i1), into);
    }
  }
  return made;
}

// Refines a tile. slices: Float32Array (K, J, I), normalized. inner: [[j0, j1], [i0, i1]], the core.
// run(lr, shape, phases): the features of the network, and its kernels. Returns the fine slices of the core.
export async function refineTile({ slices, shape, inner, clamp }, model, run, progress) {
  const [K] = shape;
  const [rows, columns] = inner;
  const size = (rows[1] - rows[0]) * (columns[1] - columns[0]);
  const core = cropped(slices, shape, [[0, K], rows, columns]);
  const fine = interpolated(core, K, size, model.positions);
  const clamped = slices.map((value) => Math.min(Math.max(value, clamp[0]), clamp[1]));
  const box = foregroundBox(clamped, shape);
  if (box) {
    const changing = whereSlicesChange(slices, shape, inner);
    for (let from = box[0][0]; from < box[0][1]; from += SLICES) {
      const to = Math.min(from + SLICES, box[0][1]);
      const part = await residualOf(clamped, shape, box, [from, to], model.positions, run);
      addResidual(fine, part, box, inner, changing, model.positions, K);
      progress((to - box[0][0]) / (box[0][1] - box[0][0]));
    }
  }
  project(fine, core, size, model);
  return fine;
}

// What the network adds to interpolation, of fine slices between two measured ones: { values, first, count }.
async function residualOf(clamped, shape, box, [from, to], positions, run) {
  const outer = [Math.max(from - REACH, box[0][0]), Math.min(to + REACH, box[0][1])];
  const lr = cropped(clamped, shape, [outer, box[1], box[2]]);
  const sizes = [outer, box[1], box[2]].map(([start, stop]) => stop - start);
  const [first, stop] = [from, to].map((end) => lowerBound(positions, end - 0.5));
  const local = positions.subarray(first, stop).map((position) => position - outer[0]);
  const above = local.map((position) => Math.min(Math.max(Math.floor(position + 1), 0), sizes[0]));
  const phases = Float32Array.from(local, (position, m) => position + 1 - above[m]);
  const { features, kernels } = await run(lr, sizes, phases);
  return { values: weighed(features, kernels, above, sizes), first, count: stop - first };
}

// Sums of features (C, K, J, I) of the slices below and above each fine slice, by its kernel (M, 2, C).
function weighed(features, kernels, above, [K, J, I]) {
  const size = J * I;
  const channels = features.length / (K * size);
  const values = new Float32Array(above.length * size);
  above.forEach((slice, m) => {
    const into = values.subarray(m * size, (m + 1) * size);
    for (const side of [0, 1]) {
      const k = Math.min(Math.max(slice - 1 + side, 0), K - 1);
      for (let c = 0; c < channels; c += 1) {
        const from = (c * K + k) * size;
        add(into, features.subarray(from, from + size), kernels[(m * 2 + side) * channels + c]);
      }
    }
  });
  return values;
}

// Adds a residual of a box to the fine slices of the core, where slices change.
function addResidual(fine, { values, first, count }, box, [rows, columns], changing, positions, K) {
  const width = columns[1] - columns[0];
  const size = (rows[1] - rows[0]) * width;
  const [[j0, j1], [i0, i1]] = [box[1], box[2]];
  for (let m = 0; m < count; m += 1) {
    const before = Math.floor(positions[first + m]);
    const around = [-1, 0, 1].map((step) => Math.min(Math.max(Math.min(Math.max(before, 0), K - 2) + step, 0), K - 2));
    for (let j = Math.max(j0, rows[0]); j < Math.min(j1, rows[1]); j += 1) {
      for (let i = Math.max(i0, columns[0]); i < Math.min(i1, columns[1]); i += 1) {
        const place = (j - rows[0]) * width + i - columns[0];
        if (!around.some((k) => changing[k * size + place])) continue;
        fine[(first + m) * size + place] += values[(m * (j1 - j0) + j - j0) * (i1 - i0) + i - i0];
      }
    }
  }
}

// Whether a voxel of the core or one of its eight neighbors differs from the next slice: (K - 1, rows, columns).
function whereSlicesChange(slices, [K, J, I], [rows, columns]) {
  const width = columns[1] - columns[0];
  const size = (rows[1] - rows[0]) * width;
  const changing = new Uint8Array((K - 1) * size);
  for (let k = 0; k < K - 1; k += 1) {
    for (let j = Math.max(rows[0] - 1, 0); j < Math.min(rows[1] + 1, J); j += 1) {
      for (let i = Math.max(columns[0] - 1, 0); i < Math.min(columns[1] + 1, I); i += 1) {
        const at = (k * J + j) * I + i;
        if (slices[at] === slices[at + J * I]) continue;
        for (let y = Math.max(j - 1, rows[0]); y < Math.min(j + 2, rows[1]); y += 1) {
          for (let x = Math.max(i - 1, columns[0]); x < Math.min(i + 2, columns[1]); x += 1) {
            changing[k * size + (y - rows[0]) * width + x - columns[0]] = 1;
          }
        }
      }
    }
  }
  return changing;
}
