// The range that the network sees as 0 to 1, as in medical_super_resolution/volumes/intensity.py.

const HOUNSFIELD = [-1000, 1000];
const CT_WINDOWS = { soft: [-160, 240], lung: [-1350, 150] };
const LUNG_SHARE = 0.25; // of the soft tissue: more is a chest
const AIR_AT_MOST = -850;
const LOWEST_HU = -4096;
const HIGHEST_HU = 32767;
const PADDING_AT_MOST = -1200; // far below air with its noise
const FAR_OUT = 2000;
const MOST_FAR_OUT = 0.05; // of the measured voxels on both sides; more are those of a phase image of MR
const LEAST_PLATEAU = 2e-4; // of the voxels
const FEWEST_VOXELS = 8;
const NEARBY = 16; // units around a plateau, where noise has most of its voxels and a plateau next to none
const PLATEAU_OVER_NEARBY = 10;
const SAMPLES = 2_000_000;

// Each n-th value, about `most` of them, in their own type.
export function sampleOf(values, most = SAMPLES) {
  const step = Math.max(1, Math.floor(values.length / most));
  return values.constructor.from({ length: Math.ceil(values.length / step) }, (_, n) => values[n * step]);
}

// The value below which a part of some sorted values lies, between two of them by straight interpolation.
export function percentile(sorted, percent) {
  const place = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

function extremes(values, padding) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value > high) high = value;
    if (value < low && !padding.has(value)) low = value;
  }
  return [low, high];
}

// The values outside a round field of view, such as -2000: plateaus far below air.
export function paddingValues(values) {
  const sample = sampleOf(values);
  const counts = new Map();
  for (const value of sample) if (value < PADDING_AT_MOST) counts.set(value, (counts.get(value) ?? 0) + 1);
  const least = Math.max(LEAST_PLATEAU * sample.length, FEWEST_VOXELS);
  const isPlateau = ([value, count]) => {
    if (count < least) return false;
    let others = -count;
    for (const [other, more] of counts) if (Math.abs(other - value) <= NEARBY) others += more;
    return count >= PLATEAU_OVER_NEARBY * others;
  };
  const found = new Set([...counts].filter(isPlateau).map(([value]) => value));
  return sample.every((value) => found.has(value)) ? new Set() : found;
}

// What the values of a volume mean: { modality, low, high, clamp, floor, padding, window }; "auto" guesses modality.
export function meaningOf(values, asked) {
  const padding = paddingValues(values);
  const [lowest, highest] = extremes(values, padding);
  const measured = sampleOf(values).filter((value) => !padding.has(value));
  const isPhase = [(value) => value < -FAR_OUT, (value) => value > FAR_OUT].every(
    (isFar) => measured.filter(isFar).length > MOST_FAR_OUT * measured.length,
  );
  const looksLikeCt = !isPhase && lowest >= LOWEST_HU && lowest <= AIR_AT_MOST && highest <= HIGHEST_HU;
  const modality = asked === "auto" ? (looksLikeCt ? "ct" : "mr") : asked;
  if (modality === "ct") {
    const [low, high] = HOUNSFIELD;
    const clamp = [-1024, 3071].map((value) => (value - low) / (high - low));
    return { modality, low, high, clamp, padding, floor: Math.min(lowest, low), window: ctWindow(values) };
  }
  const sorted = measured.sort();
  const low = percentile(sorted, 0.5);
  const above = sorted.filter((value) => value > low);
  let high = above.length ? percentile(above, 99.5) : low;
  if (!(high > low)) high = low + Math.max(1, 1e-6 * Math.abs(low));
  return { modality, low, high, clamp: [-1, 4], padding, floor: lowest >= 0 ? 0 : -Infinity, window: [low, high] };
}

function ctWindow(values) {
  const sample = sampleOf(values);
  const lung = sample.filter((value) => value > -950 && value < -600).length;
  const tissue = sample.filter((value) => value > -300).length;
  return CT_WINDOWS[lung > LUNG_SHARE * tissue ? "lung" : "soft"];
}

// Finds a place for values in [0, 1] in the type of the file: integers are rounded, and never wrap around.
export function denormalizer({ low, high, floor }, Type) {
  const scale = high - low;
  const isFloat = Type === Float32Array || Type === Float64Array;
  const bits = 8 * Type.BYTES_PER_ELEMENT;
  const isSigned = Type === Int8Array || Type === Int16Array || Type === Int32Array;
  const [least, most] = isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  return (value) => {
    const wanted = Math.max(value * scale + low, floor);
    return isFloat ? wanted : Math.min(Math.max(Math.round(wanted), least), most);
  };
}
