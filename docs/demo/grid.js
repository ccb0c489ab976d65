// Where voxels lie: a grid is { counts: [I, J, K], matrix } with the 3 x 4 matrix from voxel index to RAS in mm.
// The same rules as in medical_super_resolution/volumes/grid.py, planes.py and inference/planning.py.

const SAME = 1e-3; // spacings this close (relative) are the same
const CLEARLY = 2; // ratio of differences of log spacings, above which one axis stands out
const SHEAR = 1e-3; // cosine between two axes
const LARGEST_FACTOR = 8;
const FEWEST_SLICES = 3;
const MOST_SLICES = 2 ** 15 - 1; // whose number the header of a result holds
const PLANES = { axial: 2, coronal: 1, sagittal: 0 }; // the RAS axis that each is across

const column = (grid, axis) => grid.matrix.map((row) => row[axis]);

export const spacings = (grid) => [0, 1, 2].map((axis) => Math.hypot(...column(grid, axis)));

const directions = (grid) => {
  const lengths = spacings(grid);
  return grid.matrix.map((row) => [0, 1, 2].map((axis) => row[axis] / lengths[axis]));
};

export function isSheared(grid) {
  const unit = directions(grid);
  const cosine = (one, other) => Math.abs(unit.reduce((sum, row) => sum + row[one] * row[other], 0));
  return Math.max(cosine(0, 1), cosine(0, 2), cosine(1, 2)) > SHEAR;
}

export function described(grid) {
  const millimeters = (value) => (value >= 0.1 ? value.toFixed(2) : value.toPrecision(3));
  return `${grid.counts.join("x")} at ${spacings(grid).map(millimeters).join("x")} mm`;
}

// The axis of the slices (0, 1, 2): the one whose spacing is clearly unlike the other two, else the one that the file
// names, else that of the largest spacing.
export function throughPlaneAxis(grid) {
  const lengths = spacings(grid);
  const order = [2, 1, 0].sort((one, other) => lengths[one] - lengths[other]);
  const [low, middle, high] = order.map((axis) => Math.log(lengths[axis]));
  const [below, above] = [middle - low, high - middle];
  const isClear = Math.max(below, above) > Math.max(SAME, CLEARLY * Math.min(below, above));
  if (isClear) return order[below > above ? 0 : 2];
  const isCubic = Math.max(...lengths) <= Math.min(...lengths) * (1 + SAME);
  return grid.sliceAxis ?? (isCubic ? 2 : lengths.indexOf(Math.max(...lengths)));
}

function roundHalfEven(value) {
  const near = Math.round(value);
  return Math.abs(value - Math.trunc(value)) === 0.5 && near % 2 ? near - 1 : near;
}

// The 3 x 4 matrix with finer voxels along an axis; the first outer corner stays.
export function refinedMatrix(matrix, axis, factor) {
  return matrix.map((row) => {
    const made = [...row];
    made[axis] = row[axis] / factor;
    made[3] = row[3] + (row[axis] * (1 / factor - 1)) / 2;
    return made;
  });
}

export function refined(grid, axis, factor) {
  const counts = [...grid.counts];
  counts[axis] = Math.max(1, roundHalfEven(counts[axis] * factor));
  return { counts, matrix: refinedMatrix(grid.matrix, axis, factor) };
}

// How many times finer the slices become where they are to be as thin as pixels are wide.
function isotropicFactor(grid, axis) {
  const lengths = spacings(grid);
  const factor = lengths[axis] / Math.min(...lengths.filter((_, other) => other !== axis));
  for (let parts = 1; parts <= 8; parts += 1) {
    const plain = Math.round(factor * parts) / parts;
    if (Math.abs(plain - factor) < 1e-5 * factor) return Math.min(plain, LARGEST_FACTOR);
  }
  return Math.min(factor, LARGEST_FACTOR);
}

// What is done to a volume on a grid: { axis, factor, grid }. A factor of 0 asks for isotropic voxels.
export function planned(grid, asked) {
  if (isSheared(grid)) {
    throw new Error("the slices are tilted; medsr enhance straightens them, this page does not");
  }
  const axis = throughPlaneAxis(grid);
  const factor = asked || isotropicFactor(grid, axis);
  if (factor <= 1 + SAME) throw new Error(`the volume, ${described(grid)}, is isotropic already; choose a factor`);
  const count = grid.counts[axis];
  if (count < FEWEST_SLICES) throw new Error(`the volume has ${count} slices; at least ${FEWEST_SLICES} are needed`);
  const made = refined(grid, axis, factor);
  if (made.counts[axis] > MOST_SLICES) {
    const would = `the result would have ${made.counts[axis]} slices`;
    throw new Error(`${would}, and a NIfTI-1 file holds ${MOST_SLICES}; crop the volume first`);
  }
  return { axis, factor, grid: made };
}

// For R, A and S: which of i, j, k (0, 1, 2) runs nearest to it; each once.
function indexAxes(grid) {
  const size = directions(grid).map((row) => row.map(Math.abs));
  const found = [0, 0, 0];
  const left = new Set([0, 1, 2]);
  for (const ras of [0, 1, 2].sort((one, other) => Math.max(...size[other]) - Math.max(...size[one]))) {
    found[ras] = [...left].reduce((best, axis) => (size[ras][axis] > size[ras][best] ? axis : best));
    left.delete(found[ras]);
  }
  return found;
}

// How a plane is shown: index axes across it, of its rows and columns, which of them are turned, and its size.
export function planeOf(grid, name) {
  const nearest = indexAxes(grid);
  const unit = directions(grid);
  const lengths = spacings(grid);
  const [columnsRas, rowsRas] = [0, 1, 2].filter((axis) => axis !== PLANES[name]);
  const [across, columns, rows] = [nearest[PLANES[name]], nearest[columnsRas], nearest[rowsRas]];
  return {
    across, columns, rows,
    turnsRows: unit[rowsRas][rows] > 0, // rows go down: the anterior or superior end comes first
    turnsColumns: unit[columnsRas][columns] > 0, // the right or anterior end is shown at the left
    count: grid.counts[across],
    width_mm: grid.counts[columns] * lengths[columns],
    height_mm: grid.counts[rows] * lengths[rows],
    left: "RAS"[columnsRas],
    top: "RAS"[rowsRas],
  };
}

// The two planes that cut through the slices, where thick slices are seen as steps.
export function revealingPlanes(grid) {
  const axis = throughPlaneAxis(grid);
  return ["coronal", "sagittal", "axial"].filter((name) => planeOf(grid, name).across !== axis);
}
