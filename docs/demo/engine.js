// A volume refined by several workers, tile by tile.

import { denormalizer } from "./intensity.js";
import { REACH, SLICES, fillPadding } from "./tile.js";

const MOST_WORKERS = 4; // each takes about half a gigabyte
const VOXELS = 300_000; // of one run of the network: what bounds its memory
const SMALLEST_SIDE = 16;
const WIDTH = 1; // of the slice profile, in slice distances: NIfTI files do not say how thick slices are

// Whether there is WebGPU by a graphics card. By software it is slower than WebAssembly, and taken only where the address
// of the page asks for it (?webgpu); with ?webassembly it is never taken.
async function hasGpu() {
  const asked = new URLSearchParams(location.search);
  if (asked.has("webassembly") || !navigator.gpu || !("Suspending" in WebAssembly)) return false; // JSPI, for the runtime
  const adapter = await navigator.gpu.requestAdapter();
  return Boolean(adapter) && (asked.has("webgpu") || !adapter.info?.isFallbackAdapter);
}

// One worker, asked one thing at a time.
class Helper {
  constructor() {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (!data.isDone) this.progress?.(data.part);
      else if (data.error) this.reject(Object.assign(new Error(data.error), { name: data.name }));
      else this.resolve(data.result);
    };
    this.worker.onerror = (event) => this.reject(new Error(event.message || "a part of this page could not be loaded"));
  }

  ask(action, what, moved = [], progress = null) {
    this.progress = progress;
    return new Promise((resolve, reject) => {
      Object.assign(this, { resolve, reject });
      this.worker.postMessage({ action, ...what }, moved);
    });
  }
}

export class Engine {
  // Starts to load the network.
  constructor() {
    this.helpers = [];
    this.described = "";
    this.stopped = new Promise((_, reject) => { this.reject = reject; });
    this.opened = this.open();
    for (const promise of [this.stopped, this.opened]) promise.catch(() => {}); // they are looked at in `enhance`
  }

  // By WebGPU where it is there and works, else by WebAssembly.
  async open() {
    try {
      if (await hasGpu()) {
        this.described = "WebGPU";
        return await this.openHelpers(1, "webgpu");
      }
    } catch {
      this.helpers.forEach((helper) => helper.worker.terminate());
    }
    return this.openByWebAssembly();
  }

  openByWebAssembly() {
    const count = Math.min(MOST_WORKERS, Math.max(1, Math.floor((navigator.hardwareConcurrency ?? 2) / 2)));
    this.described = `WebAssembly, ${count === 1 ? "1 processor" : `${count} processors`}`;
    return this.openHelpers(count, "wasm");
  }

  openHelpers(count, runtime) {
    if (this.isStopped) return null;
    this.helpers = Array.from({ length: count }, () => new Helper());
    return Promise.all(this.helpers.map((helper) => helper.ask("open", { runtime })));
  }

  // Ends the workers, and `enhance` with an AbortError.
  stop() {
    this.isStopped = true;
    this.helpers.forEach((helper) => helper.worker.terminate());
    this.reject(new DOMException("cancelled", "AbortError"));
  }

  // Refines a volume as planned; returns values of the type of the volume. progress: takes the part that is done.
  enhance(volume, plan, meaning, progress) {
    const refine = () => this.refined(volume, plan, meaning, progress);
    const refined = this.opened.then(() => refine().catch((problem) => this.withoutGpu(problem, refine)));
    return Promise.race([refined, this.stopped]);
  }

  // What a graphics card fails at, WebAssembly does from the beginning.
  async withoutGpu(problem, refine) {
    if (this.described !== "WebGPU" || this.isStopped) throw problem;
    this.helpers.forEach((helper) => helper.worker.terminate());
    await this.openByWebAssembly();
    return refine();
  }

  async refined(volume, { axis, factor, grid }, meaning, progress) {
    const { counts, values: measured } = volume;
    const shape = { counts, axis, factor, measured, fine: grid.counts[axis], padding: meaning.padding };
    const values = new volume.values.constructor(grid.counts.reduce((product, count) => product * count, 1));
    const prepared = { count: counts[axis], fineCount: shape.fine, factor, width: WIDTH };
    const { tiles, area } = tilesOf(shape);
    const done = new Map();
    const report = (tile, part) => {
      done.set(tile, part * tile.area);
      progress([...done.values()].reduce((sum, one) => sum + one, 0) / area);
    };
    const store = denormalizer(meaning, values.constructor);
    const work = async (helper) => {
      await helper.ask("prepare", prepared);
      for (let tile = tiles.shift(); tile; tile = tiles.shift()) {
        const current = tile;
        const slices = gathered(measured, shape, tile, meaning);
        const asked = { slices, shape: tile.shape, inner: tile.inner, clamp: meaning.clamp };
        const fine = await helper.ask("refine", asked, [slices.buffer], (part) => report(current, part));
        stored(values, shape, tile, fine, store);
        report(tile, 1);
      }
    };
    await Promise.all(this.helpers.map(work));
    return values;
  }
}

// The two axes of a slice, the slower one in memory first.
const planeAxes = (axis) => [2, 1, 0].filter((other) => other !== axis);

const stepsOf = (counts) => [1, counts[0], counts[0] * counts[1]];

function spans(length, side) {
  const count = Math.ceil(length / side);
  const bound = (n) => Math.round((length * n) / count);
  return Array.from({ length: count }, (_, n) => [bound(n), bound(n + 1)]);
}

// Cores that cover the slice plane once, each with the margin that the network needs.
function tilesOf({ counts, axis }) {
  const [slow, fast] = planeAxes(axis);
  const slices = Math.min(counts[axis], SLICES + 2 * REACH);
  const side = Math.max(SMALLEST_SIDE, Math.floor(Math.sqrt(VOXELS / slices)) - 2 * REACH);
  const outer = ([start, stop], length) => [Math.max(0, start - REACH), Math.min(length, stop + REACH)];
  const tiles = spans(counts[slow], side).flatMap((rows) => spans(counts[fast], side).map((columns) => {
    const [outerRows, outerColumns] = [outer(rows, counts[slow]), outer(columns, counts[fast])];
    return {
      outer: [outerRows, outerColumns],
      inner: [rows.map((end) => end - outerRows[0]), columns.map((end) => end - outerColumns[0])],
      core: [rows, columns],
      shape: [counts[axis], outerRows[1] - outerRows[0], outerColumns[1] - outerColumns[0]],
      area: (rows[1] - rows[0]) * (columns[1] - columns[0]),
    };
  }));
  return { tiles, area: counts[slow] * counts[fast] };
}

// The normalized slices of a tile with its margin, (K, J, I); measured tissue goes on into padding.
function gathered(values, { counts, axis }, { outer, shape }, { low, high, padding }) {
  const [slow, fast] = planeAxes(axis);
  const steps = stepsOf(counts);
  const slices = new Float32Array(shape[0] * shape[1] * shape[2]);
  const isPadding = new Uint8Array(padding.size ? slices.length : 0);
  let into = 0;
  for (let k = 0; k < shape[0]; k += 1) {
    for (let j = outer[0][0]; j < outer[0][1]; j += 1) {
      let at = k * steps[axis] + j * steps[slow] + outer[1][0] * steps[fast];
      for (let i = outer[1][0]; i < outer[1][1]; i += 1, at += steps[fast], into += 1) {
        slices[into] = (values[at] - low) / (high - low);
        if (padding.size && padding.has(values[at])) isPadding[into] = 1;
      }
    }
  }
  if (isPadding.includes(1)) fillPadding(slices, isPadding, shape[0], shape[1] * shape[2]);
  return slices;
}

// Writes the fine slices of a core into the result; voxels of padding are as they were measured.
function stored(values, { measured, counts, axis, fine: count, factor, padding }, { core }, fine, store) {
  const [slow, fast] = planeAxes(axis);
  const steps = stepsOf(counts.map((one, n) => (n === axis ? count : one)));
  const before = stepsOf(counts);
  let from = 0;
  for (let m = 0; m < count; m += 1) {
    const nearest = Math.min(Math.floor((m + 0.5) / factor + 1e-6), counts[axis] - 1);
    for (let j = core[0][0]; j < core[0][1]; j += 1) {
      for (let i = core[1][0]; i < core[1][1]; i += 1, from += 1) {
        const known = padding.size ? measured[nearest * before[axis] + j * before[slow] + i * before[fast]] : 0;
        const value = padding.has(known) ? known : store(fine[from]);
        values[m * steps[axis] + j * steps[slow] + i * steps[fast]] = value;
      }
    }
  }
}
