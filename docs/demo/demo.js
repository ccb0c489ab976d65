// The demonstration page: one NIfTI volume is enhanced here, in the browser.

import { Comparison } from "./comparison.js";
import { ViewControls, by, listed, on, onFiles, save, tell } from "./controls.js";
import { Engine } from "./engine.js";
import { planned } from "./grid.js";
import { meaningOf } from "./intensity.js";
import { read, write } from "./nifti.js";

const view = new ViewControls((path) => comparison.answer(path));
let comparison = null;
let volume = null;
let result = null; // { values, planned }
let engine = null;

// Turns the controls on and off: of a page that waits, reads a file, or enhances.
function setState(state) {
  by("enhance").disabled = !volume || state !== "waits";
  by("cancel").disabled = state !== "enhances";
  by("file").disabled = state !== "waits";
}

async function open(files) {
  if (!files.length || by("file").disabled) return;
  if (files.length > 1) throw new Error(`${files.length} files were given; this page takes one NIfTI volume`);
  tell(`Reading ${files[0].name} ...`);
  setState("reads");
  try {
    const found = await read(files[0]);
    const meaning = meaningOf(found.values, "auto");
    by("modality").value = "auto"; // it was stated of another volume
    [volume, result] = [found, null];
    show(new Comparison(volume, meaning), true);
    const [dropped] = found.forms.dropped;
    tell(dropped ? `The ${dropped} is damaged; the place in space is that of the other form` : "");
  } finally {
    setState("waits");
  }
}

function show(compared, isOther) {
  comparison = compared;
  by("result").hidden = !result;
  view.show(comparison.described, { isOther });
}

async function enhance() {
  const what = planned(volume, Number(by("factor").value));
  const meaning = meaningOf(volume.values, by("modality").value);
  setState("enhances");
  by("progress").value = 0;
  tell("Loading the network");
  const started = performance.now();
  const progress = (part) => {
    by("progress").value = part;
    tell(`Enhancing, ${Math.floor(100 * part)} %`);
  };
  try {
    engine ??= new Engine();
    const values = await engine.enhance(volume, what, meaning, progress);
    result = { values, ...what };
    by("progress").value = 1;
    by("facts").replaceChildren(...listed({
      Model: "general",
      Time: `${((performance.now() - started) / 1000).toFixed(1)} s, ${engine.described}`,
      "Slice profile": "Gaussian, as wide as the distance between slices",
    }));
    show(new Comparison(volume, meaning, result), false);
    tell("Done.");
  } catch (problem) {
    engine?.stop();
    engine = null;
    by("progress").value = 0;
    if (problem.name !== "AbortError") throw problem;
    tell("Cancelled. Nothing was changed.");
  } finally {
    const hadFocus = by("cancel") === document.activeElement;
    setState("waits");
    if (hadFocus) by("enhance").focus(); // not lost with the button that is off now
  }
}

async function download() {
  const blob = await write(volume, result.values, result.grid.counts, result.axis, result.factor);
  save(blob, volume.name.replace(/\.nii(\.gz)?$/i, "") + "-fine.nii.gz");
}

on("enhance-form", "submit", enhance);
on("cancel", "click", () => engine?.stop());
on("download", "click", (event) => event.detail < 2 && download()); // a double click saves once
onFiles(open);
setState("waits"); // where it is loaded anew during work, Firefox has kept what was off
