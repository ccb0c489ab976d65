// NIfTI-1 files, .nii and .nii.gz: read from a File of the browser, and written with finer slices.

import { refinedMatrix } from "./grid.js";

const HEADER = 348;
const VOXELS_AT = 352; // in files that are written, and where none is named
const LARGEST = 2 ** 31; // bytes of voxels
const TYPES = {
  2: Uint8Array, 4: Int16Array, 8: Int32Array, 16: Float32Array, 64: Float64Array, 256: Int8Array, 512: Uint16Array,
  768: Uint32Array,
};
const LABELS = 1002; // intent code
const MM_A_UNIT = { 1: 1000, 3: 0.001 }; // meters, micrometers; all else is millimeters
const ROUNDING = 3.6e-7; // of the length of a quaternion in float32
const FLAT = 1e-12; // of the volume of a box: three directions lie in one plane, but for the rounding of float64
const LITTLE = true;

const refuse = (name, why) => { throw new Error(`the file ${name} ${why}`); };

// Reads a volume: { name, values, counts, matrix, sliceAxis, forms }. Values are in the units of the file, scaled.
export async function read(file) {
  const source = await opened(file);
  const header = headerOf(file.name, await source.take(HEADER));
  await source.skip(header.offset - HEADER);
  const bytes = await source.take(header.size);
  if (bytes.length < header.size) {
    refuse(file.name, `ends before its last voxel (${bytes.length} of ${header.size} bytes); get it again`);
  }
  await source.close();
  if (header.isBig) swap(bytes, header.Type.BYTES_PER_ELEMENT);
  const stored = new header.Type(bytes.buffer, 0, header.size / header.Type.BYTES_PER_ELEMENT);
  const values = scaled(stored, header);
  if (!values.every(Number.isFinite)) refuse(file.name, "holds voxels that are no numbers; mend them first");
  const { counts, matrix, sliceAxis, forms } = header;
  return { name: file.name, values, counts, matrix, sliceAxis, forms };
}

function scaled(stored, { slope, intercept }) {
  if ((slope === 1 && intercept === 0) || slope === 0 || !Number.isFinite(slope)) return stored;
  const isWide = stored.BYTES_PER_ELEMENT > 2 && !(stored instanceof Float32Array); // more than float32 holds
  const values = new (isWide ? Float64Array : Float32Array)(stored.length);
  // Not by `from`, which lists all values first: above 2 ** 27, the page ends.
  for (let n = 0; n < values.length; n += 1) values[n] = slope * stored[n] + intercept;
  return values;
}

function swap(bytes, size) {
  for (let at = 0; size > 1 && at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

// The bytes of a file from its beginning on, unpacked where it is gzip.
async function opened(file) {
  const magic = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const isPacked = magic[0] === 0x1f && magic[1] === 0x8b;
  const reader = (isPacked ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream()).getReader();
  let rest = new Uint8Array(0);
  const next = async () => {
    const why = "it is damaged, or has several parts, which browsers refuse; get or pack it again";
    const { value, done } = await reader.read().catch(() => refuse(file.name, `cannot be unpacked: ${why}`));
    rest = value ?? new Uint8Array(0);
    return !done;
  };
  const take = async (size) => {
    const taken = new Uint8Array(size);
    let filled = 0;
    while (filled < size && (rest.length || (await next()))) {
      const part = rest.subarray(0, size - filled);
      taken.set(part, filled);
      filled += part.length;
      rest = rest.subarray(part.length);
    }
    return filled < size ? taken.subarray(0, filled) : taken;
  };
  return { take, skip: take, close: () => reader.cancel().catch(() => {}) };
}

function headerOf(name, block) {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const little = block.length >= HEADER && view.getInt32(0, LITTLE) === HEADER;
  const isBig = block.length >= HEADER && !little && view.getInt32(0) === HEADER;
  const magic = String.fromCharCode(...block.subarray(344, 347));
  if (!(little || isBig) || magic !== "n+1") refuse(name, "is no NIfTI-1 volume (.nii or .nii.gz); choose one that is");
  const short = (at) => view.getInt16(at, little);
  const float = (at) => view.getFloat32(at, little);
  const dimensions = short(40);
  if (!(dimensions >= 1 && dimensions <= 7)) refuse(name, `is damaged: it has ${dimensions} dimensions; get it again`);
  const sizes = Array.from({ length: 7 }, (_, axis) => (axis < dimensions ? short(42 + 2 * axis) : 1));
  const counts = sizes.slice(0, 3);
  if (dimensions < 3 || sizes.some((count) => count < 1)) {
    refuse(name, `is no volume: its size is ${sizes.slice(0, dimensions).join("x")}`);
  }
  const others = sizes.slice(3).reduce((product, count) => product * count, 1);
  if (others > 1) refuse(name, `holds ${others} volumes; this page takes one, medsr enhance a series`);
  const Type = TYPES[short(70)];
  if (!Type) refuse(name, `has voxels of the type ${short(70)}, which this page does not read; use medsr enhance`);
  if (short(68) === LABELS) refuse(name, "is a label map; medsr enhance refines those, this page does not");
  const size = counts.reduce((product, count) => product * count, Type.BYTES_PER_ELEMENT);
  if (size > LARGEST) refuse(name, `has ${(size / 1e9).toFixed(1)} GB of voxels; above 2 GB, use medsr enhance`);
  const [slope, intercept] = [float(112), float(116)];
  if (slope !== 0 && Number.isFinite(slope) && !Number.isFinite(intercept)) {
    refuse(name, "is damaged: it does not say how its values are scaled; get it again");
  }
  const offset = float(108) < HEADER ? VOXELS_AT : Math.trunc(float(108));
  if (!(float(108) >= 0 && offset < 2 ** 26)) refuse(name, "is damaged: its voxels begin nowhere; get it again");
  const forms = formsOf(view, little, counts);
  const matrix = forms.sform ?? forms.qform ?? forms.base;
  if (!isPlace(matrix)) refuse(name, "does not say where its voxels lie: its spacing or direction is damaged");
  const sliceAxis = [null, 0, 1, 2][(view.getUint8(39) >> 4) & 3];
  return { isBig, counts, Type, size, slope, intercept, offset, forms, matrix, sliceAxis };
}

// Whether a matrix places voxels: of finite numbers, and with three directions that are not in one plane.
function isPlace(matrix) {
  const [a, b, c] = [0, 1, 2].map((axis) => matrix.map((row) => row[axis]));
  const across = [0, 1, 2].map((at) => b[(at + 1) % 3] * c[(at + 2) % 3] - b[(at + 2) % 3] * c[(at + 1) % 3]);
  const volume = Math.abs(a[0] * across[0] + a[1] * across[1] + a[2] * across[2]);
  const ofBox = Math.hypot(...a) * Math.hypot(...b) * Math.hypot(...c);
  return volume > FLAT * ofBox && matrix.flat().every(Number.isFinite);
}

// The places in space that a header gives, in mm; null for one that it does not.
function formsOf(view, little, counts) {
  const float = (at) => view.getFloat32(at, little);
  const unit = MM_A_UNIT[view.getUint8(123) & 7] ?? 1;
  const inMillimeters = (matrix) => matrix.map((row) => row.map((value) => value * unit));
  const pixels = [80, 84, 88].map((at) => Math.abs(float(at)) || 1);
  const quaternion = [256, 260, 264].map(float);
  const handed = float(76) < 0 ? -1 : 1;
  const sform = [280, 296, 312].map((at) => [0, 4, 8, 12].map((step) => float(at + step)));
  const rotation = rotationOf(quaternion);
  const scales = [pixels[0], pixels[1], pixels[2] * handed];
  const qform = rotation.map((row, ras) => [...row.map((value, axis) => value * scales[axis]), float(268 + 4 * ras)]);
  const codes = [view.getInt16(252, little), view.getInt16(254, little)];
  // Where one is damaged, the other alone counts, and goes into the result.
  const sformCode = codes[0] > 0 && isPlace(qform) && !isPlace(sform) ? 0 : codes[1];
  const qformCode = codes[1] > 0 && isPlace(sform) && !isPlace(qform) ? 0 : codes[0];
  const signed = [-pixels[0], pixels[1], pixels[2]]; // without a form, the patient's left comes first
  const base = signed.map((length, ras) =>
    [0, 1, 2, 3].map((at) => (at === 3 ? (-length * (counts[ras] - 1)) / 2 : at === ras ? length : 0)));
  return {
    qformCode, sformCode, quaternion, handed,
    dropped: [qformCode !== codes[0] && "qform", sformCode !== codes[1] && "sform"].filter(Boolean),
    sform: sformCode > 0 ? inMillimeters(sform) : null,
    qform: qformCode > 0 ? inMillimeters(qform) : null,
    base: inMillimeters(base),
  };
}

// The rotation by a quaternion; no numbers where it is none, which rounding alone does not explain. What rounding leaves
// of half a turn is none.
function rotationOf(stored) {
  const rest = 1 - stored.reduce((sum, value) => sum + value * value, 0);
  const isHalfTurn = Math.abs(rest) < ROUNDING;
  const a = isHalfTurn ? 0 : Math.sqrt(rest);
  const [b, c, d] = stored.map((value) => (isHalfTurn ? value / Math.sqrt(1 - rest) : value));
  return [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
  ];
}

// A .nii.gz as a Blob: values on the grid of a volume that was refined along an axis.
export function write(volume, values, counts, axis, factor) {
  const block = new ArrayBuffer(VOXELS_AT);
  const view = new DataView(block);
  const { forms } = volume;
  const short = (at, value) => view.setInt16(at, value, LITTLE);
  const float = (at, value) => view.setFloat32(at, value, LITTLE);
  const text = (at, value) => [...value].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  view.setInt32(0, HEADER, LITTLE);
  [3, ...counts, 1, 1, 1, 1].forEach((count, n) => short(40 + 2 * n, count));
  const code = Number(Object.keys(TYPES).find((one) => values instanceof TYPES[one]));
  short(70, code);
  short(72, 8 * values.BYTES_PER_ELEMENT);
  const matrix = refinedMatrix(volume.matrix, axis, factor);
  float(76, forms.handed);
  const placed = refinedMatrix(forms.qform ?? volume.matrix, axis, factor);
  [0, 1, 2].forEach((one) => float(80 + 4 * one, Math.hypot(...placed.map((row) => row[one])))); // of the quaternion
  float(108, VOXELS_AT);
  float(112, 1);
  view.setUint8(123, 2); // mm
  text(148, "Refined by MedicalSuperResolution. For research. Not for diagnosis.");
  short(252, forms.qformCode);
  short(254, forms.sformCode || (forms.qformCode ? 0 : 1));
  if (forms.qform) {
    forms.quaternion.forEach((value, n) => float(256 + 4 * n, value));
    placed.forEach((row, ras) => float(268 + 4 * ras, row[3]));
  }
  if (forms.sform || !forms.qform) matrix.flat().forEach((value, n) => float(280 + 4 * n, value));
  text(344, "n+1");
  const packed = new Blob([block, values]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(packed).blob();
}
