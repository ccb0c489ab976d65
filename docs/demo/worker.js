// A worker with the network of its own: it refines one tile after the other.

import { axisModel } from "./physics.js";
import { refineTile } from "./tile.js";

const RUNTIMES = { // the program, its WebAssembly, packed, and where it computes
  webgpu: ["ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm.gz", "webgpu"],
  wasm: ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm.gz", "wasm"],
};
let [ort, session, model, settings] = [];

async function bytesOf(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} is not beside this page; build the page anew with make demo-page`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes; // the server has unpacked it
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function open({ runtime }) {
  const [program, wasm, provider] = RUNTIMES[runtime];
  const [network, binary] = await Promise.all([bytesOf("general.onnx"), bytesOf(wasm).then(unpacked)]);
  ort = await import(`./${program}`);
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: binary }); // there is one worker for each processor
  session = await ort.InferenceSession.create(network, { executionProviders: [provider] });
  settings = { factor: 2, width: 1 };
  await run(new Float32Array(4 * 5 * 6), [4, 5, 6], Float32Array.of(0.25)); // what a device cannot do is known now
}

function prepare({ count, fineCount, factor, width }) {
  model = axisModel(count, fineCount, factor, width);
  settings = { factor, width };
}

async function run(lr, shape, phases) {
  const tensor = (values, sizes) => new ort.Tensor("float32", values, sizes);
  const { features, kernels } = await session.run({
    lr: tensor(lr, [1, 1, ...shape]),
    phases: tensor(phases, [phases.length]),
    factor: tensor(Float32Array.of(settings.factor), [1]),
    width: tensor(Float32Array.of(settings.width), [1]),
  });
  return { features: await features.getData(), kernels: await kernels.getData() };
}

async function refine(tile) {
  const fine = await refineTile(tile, model, run, (part) => postMessage({ part }));
  return [fine, [fine.buffer]];
}

const ACTIONS = { open, prepare, refine };

onmessage = async ({ data }) => {
  try {
    const [result, moved] = (await ACTIONS[data.action](data)) ?? [];
    postMessage({ isDone: true, result }, moved ?? []);
  } catch (problem) {
    const error = String(problem?.message ?? problem); // the runtime throws numbers, too
    postMessage({ isDone: true, error, name: problem?.name });
  }
};
