// The matrices of one axis, as in medical_super_resolution/physics: rows of weights, each with the band where they lie.

const SIGMA_PER_FULL_WIDTH = 1 / Math.sqrt(8 * Math.log(2));
const SUPPORT_IN_SIGMA = 4;
const FLOOR = 0.05; // of the largest eigenvalue: smaller ones are raised to it, so that noise is not magnified
const FARTHEST = 64; // slices
const NOTHING = 1e-7; // weights this small, relative to the largest, change no result
const SWEEPS = 60;

// Places of fine slices in units of the measured ones.
export const places = (fineCount, factor) =>
  Float64Array.from({ length: fineCount }, (_, m) => (m + 0.5) / factor - 0.5);

// What slices of a Gaussian profile measure of fine ones: rows of weights, each of which sums to 1.
export function acquisitionMatrix(count, fineCount, factor, width) {
  const sigma = Math.max(width * factor, 1) * SIGMA_PER_FULL_WIDTH;
  return Array.from({ length: count }, (_, n) => {
    const center = (n + 0.5) * factor - 0.5;
    const row = Float64Array.from({ length: fineCount }, (_, m) =>
      Math.abs(m - center) > SUPPORT_IN_SIGMA * sigma ? 0 : Math.exp(-0.5 * ((m - center) / sigma) ** 2));
    const sum = row.reduce((total, weight) => total + weight, 0);
    return row.map((weight) => weight / sum);
  });
}

// Eigenvalues and eigenvectors (rows) of a symmetric matrix, by Jacobi's rotations.
export function eigen(matrix) {
  const size = matrix.length;
  const a = matrix.map((row) => Float64Array.from(row));
  const vectors = a.map((_, n) => Float64Array.from({ length: size }, (_, m) => (n === m ? 1 : 0)));
  const scale = Math.max(...a.map((row, n) => Math.abs(row[n])));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    let isDone = true;
    for (let p = 0; p < size - 1; p += 1) {
      for (let q = p + 1; q < size; q += 1) {
        if (Math.abs(a[p][q]) < 1e-13 * scale) continue;
        isDone = false;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        rotate(a, vectors, p, q, c, t * c);
      }
    }
    if (isDone) break;
  }
  return { values: a.map((row, n) => row[n]), vectors };
}

function rotate(a, vectors, p, q, c, s) {
  for (const rows of [a, vectors]) {
    const [one, other] = [rows[p], rows[q]];
    for (let n = 0; n < one.length; n += 1) {
      const kept = one[n];
      one[n] = c * kept - s * other[n];
      other[n] = s * kept + c * other[n];
    }
  }
  for (const row of a) {
    const kept = row[p];
    row[p] = c * kept - s * row[q];
    row[q] = s * kept + c * row[q];
  }
}

// Aᵀ (A Aᵀ)⁻¹ with small eigenvalues raised: carries what measured slices miss back to fine ones, (M, K).
export function consistencyMatrix(acquisition) {
  const bands = banded(acquisition);
  const gram = acquisition.map((row, n) => acquisition.map((other) => {
    let sum = 0;
    for (let m = bands[n].first; m < bands[n].stop; m += 1) sum += row[m] * other[m];
    return sum;
  }));
  const inverse = plainInverse(gram) ?? raisedInverse(gram);
  return Array.from({ length: acquisition[0].length }, (_, m) => {
    const row = new Float64Array(acquisition.length);
    acquisition.forEach((weights, n) => {
      if (weights[m]) for (let q = 0; q < row.length; q += 1) row[q] += weights[m] * inverse[n][q];
    });
    return row;
  });
}

function raisedInverse(gram) {
  const { values, vectors } = eigen(gram);
  const least = FLOOR * Math.max(...values);
  const inverse = gram.map((row) => new Float64Array(row.length));
  vectors.forEach((vector, n) => {
    const part = 1 / Math.max(values[n], least);
    for (let p = 0; p < vector.length; p += 1) {
      const weight = part * vector[p];
      for (let q = 0; q < vector.length; q += 1) inverse[p][q] += weight * vector[q];
    }
  });
  return inverse;
}

// The inverse of a symmetric matrix without negative elements, or null where an eigenvalue may have to be raised. Few
// slices overlap, so the time grows with the square of their number. No eigenvalue is above the largest sum of a row.
function plainInverse(gram) {
  const bound = gram.reduce((most, row) => Math.max(most, row.reduce((sum, value) => sum + value, 0)), 0);
  const reach = Math.max(...gram.map((row, n) => n - row.findIndex((value) => value !== 0)));
  const above = gram.map((row, n) => row.map((value, m) => (m === n ? value - FLOOR * bound : value)));
  return choleskyFactor(above, reach) && inverseOf(choleskyFactor(gram, reach), reach);
}

// The lower factor of a symmetric matrix, whose elements reach so far from the diagonal; null if it is not definite.
function choleskyFactor(matrix, reach) {
  const lower = matrix.map((row) => new Float64Array(row.length));
  for (let n = 0; n < matrix.length; n += 1) {
    for (let m = Math.max(0, n - reach); m <= n; m += 1) {
      let sum = matrix[n][m];
      for (let k = Math.max(0, n - reach); k < m; k += 1) sum -= lower[n][k] * lower[m][k];
      if (m === n && !(sum > 0)) return null;
      lower[n][m] = m === n ? Math.sqrt(sum) : sum / lower[m][m];
    }
  }
  return lower;
}

function inverseOf(lower, reach) {
  const size = lower.length;
  return lower.map((_, column) => {
    const solved = new Float64Array(size);
    for (let n = column; n < size; n += 1) {
      let sum = n === column ? 1 : 0;
      for (let k = Math.max(column, n - reach); k < n; k += 1) sum -= lower[n][k] * solved[k];
      solved[n] = sum / lower[n][n];
    }
    for (let n = size - 1; n >= 0; n -= 1) {
      let sum = solved[n];
      for (let k = n + 1; k <= Math.min(size - 1, n + reach); k += 1) sum -= lower[k][n] * solved[k];
      solved[n] = sum / lower[n][n];
    }
    return solved;
  });
}

// Keys' cubic convolution (a = -1/2) along a sequence of `count` samples whose ends go on: taps and weights by place.
export function cubic(count, positions) {
  return Array.from(positions, (position) => {
    const base = Math.floor(position);
    const taps = [-1, 0, 1, 2].map((tap) => Math.min(Math.max(base + tap, 0), count - 1));
    const weights = [-1, 0, 1, 2].map((tap) => {
      const d = Math.abs(position - base - tap);
      if (d <= 1) return 1.5 * d ** 3 - 2.5 * d ** 2 + 1;
      return d < 2 ? -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2 : 0;
    });
    return { taps, weights };
  });
}

// Rows of weights with the part that is not next to nothing: { weights, first, stop }.
export function banded(rows) {
  const largest = (row) => row.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
  const least = NOTHING * rows.reduce((most, row) => Math.max(most, largest(row)), 0);
  return rows.map((weights) => {
    const first = weights.findIndex((weight) => Math.abs(weight) > least);
    let stop = weights.length;
    while (stop > first && Math.abs(weights[stop - 1]) <= least) stop -= 1;
    return { weights, first: Math.max(first, 0), stop: first < 0 ? 0 : stop };
  });
}

// Everything that is linear along one axis.
export function axisModel(count, fineCount, factor, width) {
  const positions = places(fineCount, factor);
  const acquisition = acquisitionMatrix(count, fineCount, factor, width);
  const back = consistencyMatrix(acquisition);
  back.forEach((row, m) => row.forEach((_, n) => { if (Math.abs(n - positions[m]) > FARTHEST) row[n] = 0; }));
  return { positions, acquisition: banded(acquisition), back: banded(back) };
}

// Interpolates slices (K of `size` values each) at places.
export function interpolated(slices, count, size, positions) {
  const fine = new Float32Array(positions.length * size);
  cubic(count, positions).forEach(({ taps, weights }, m) => {
    const into = fine.subarray(m * size, (m + 1) * size);
    taps.forEach((tap, n) => add(into, slices.subarray(tap * size, (tap + 1) * size), weights[n]));
  });
  return fine;
}

// Moves fine slices, in place, to the nearest ones that reproduce the measured slices.
export function project(fine, measured, size, { acquisition, back }) {
  const missing = Float32Array.from(measured);
  acquisition.forEach(({ weights, first, stop }, n) => {
    const into = missing.subarray(n * size, (n + 1) * size);
    for (let m = first; m < stop; m += 1) add(into, fine.subarray(m * size, (m + 1) * size), -weights[m]);
  });
  back.forEach(({ weights, first, stop }, m) => {
    const into = fine.subarray(m * size, (m + 1) * size);
    for (let n = first; n < stop; n += 1) add(into, missing.subarray(n * size, (n + 1) * size), weights[n]);
  });
}

// Adds a multiple of some values to others, in place.
export function add(into, from, weight) {
  for (let n = 0; n < into.length; n += 1) into[n] += weight * from[n];
}
