// The controls of the page. All state of the work lies on the server, so a reload loses nothing.

import { ViewControls, attempt, by, capital, listed, on, onFiles, save, tell } from "./controls.js";

const TOKEN = new URLSearchParams(location.search).get("token");
const POLL_MS = 300;
const RETRY_MS = 2000; // after an answer that was lost, as through a tunnel that is opened anew
const LOST = "The server does not answer; is medsr view still running?";

const view = new ViewControls((path) => ask(path));
let session = sessionStorage.getItem("session"); // of this tab
let state = null;
let polling = 0; // the timer
let models = [];
let opened = Promise.resolve(); // what was chosen before: it is shown, or could not be

async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const address = path.startsWith("/") ? path : `/api/sessions/${session}/${path}`;
  const answer = await fetch(address, { headers, ...options }).catch(() => {
    throw new Error(LOST);
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(said.error || `the server answered ${answer.status}`), { status: answer.status });
}

const post = async (path, body = {}) => (await ask(path, { method: "POST", body: JSON.stringify(body) })).json();
const poll = async () => take(await (await ask(`/api/sessions/${session}`)).json());

// Asks how the enhancement goes, and asks again where there is no answer.
async function follow() {
  try {
    await poll();
  } catch (problem) {
    if (!problem.status) polling = setTimeout(attempt(follow), RETRY_MS);
    throw problem;
  }
}

async function start() {
  const choices = await (await ask("/api/choices")).json();
  models = choices.models;
  for (const goal of choices.goals) by("goal").add(new Option(goal.label, goal.name));
  for (const model of models) by("model").add(new Option(model.name, model.name));
  chooseGoal();
  chooseModel();
  return ensureSession();
}

async function ensureSession() {
  try {
    if (session) return await poll();
  } catch (problem) {
    if (problem.status !== 404) throw problem; // 404: the server was started anew, or others took the place
  }
  session = (await post("/api/sessions")).session;
  state = null; // it was of another session
  return poll();
}

// Shows what the server says about the session.
function take(found) {
  if (found.version < state?.version) return; // an answer that a later one has overtaken
  const isOther = !state || state.version !== found.version;
  const wasRunning = state?.run?.status === "running";
  const hadFocus = by("cancel") === document.activeElement;
  state = found;
  const { volume, run } = state;
  const isRunning = run?.status === "running";
  by("enhance").disabled = !volume || isRunning;
  by("cancel").disabled = !isRunning;
  by("progress").value = run ? run.part : 0;
  if (isRunning) {
    const { classList, textContent } = by("message");
    const isRead = wasRunning && classList.contains("wrong") && textContent !== LOST; // an error: the bar goes on alone
    if (!isRead) tell(run.part ? `Enhancing, ${Math.round(100 * run.part)} %` : "Enhancing: loading the model");
    clearTimeout(polling);
    polling = setTimeout(attempt(follow), POLL_MS);
  } else if (wasRunning && run) { // none: another volume is open
    tell(capital(run.message), run.status === "failed");
    if (hadFocus) by("enhance").focus(); // not lost with the button that is off now
  }
  if (isOther) show();
}

// Waits for the session that a volume is to be opened in.
async function ready() {
  await started;
  await ensureSession();
}

// Opens one volume after the other, so that their files do not mix, and the last one stays.
function inTurn(action) {
  opened = opened.catch(() => {}).then(ready).then(action);
  return opened;
}

async function upload(files) {
  tell(`Uploading ${files.length === 1 ? files[0].name : `${files.length} files`} ...`);
  for (const [number, file] of files.entries()) {
    await ask(`files/${encodeURIComponent(file.name)}${number ? "" : "?first=1"}`, { method: "PUT", body: file });
  }
  await open({});
}

async function open(what) {
  tell("Opening ...");
  const found = await post("open", what);
  state = view.views.window = null; // all is shown anew, also where the poll of a run brought a part of it
  by("modality").value = ""; // it was stated of another volume
  tell("");
  take(found);
}

function wishes() {
  const [goal, modality, model, factor] = ["goal", "modality", "model", "factor"].map((id) => by(id).value);
  const spacing = ["i", "j", "k"].map((axis) => by(`spacing-${axis}`).value);
  return { goal, modality, model, factor, spacing, detail: Number(by("detail").value) };
}

function chooseGoal() {
  for (const name of ["factor", "spacing"]) { // what is hidden is off, else its value could refuse the form
    by(`${name}-field`).hidden = by(`${name}-field`).disabled = by("goal").value !== name;
  }
}

function chooseModel() {
  by("detail").disabled = !models.find((one) => one.name === by("model").value)?.has_detail;
  if (by("detail").disabled) by("detail").value = 0;
  chooseDetail();
}

function chooseDetail() {
  const value = Number(by("detail").value);
  by("detail-value").value = value === 0 ? "0, fidelity" : value === 1 ? "1, most detail" : value.toFixed(2);
}

function show() {
  const { volume, report } = state;
  by("result").hidden = !report;
  by("facts").replaceChildren(...(report ? facts(report) : []));
  view.show(volume);
}

async function enhance() {
  by("enhance").disabled = true; // a double-click begins one
  try {
    take(await post("enhance", wishes()));
  } catch (problem) {
    by("enhance").disabled = false;
    throw problem;
  }
}

function facts(report) {
  const texts = {
    Model: report.model + (report.detail ? `, detail ${report.detail}` : ""),
    "Taken for": report.modality === "labels" ? "a label map" : report.modality.toUpperCase(),
    Time: `${report.seconds.toFixed(1)} s on ${report.device}`,
    "Slice thickness": `${report.slice_thickness_mm.toPrecision(3)} mm`,
    "Measured slices reproduced to": `${report.consistency_error_rms.toPrecision(3)} RMS`,
  };
  if (report.warnings.length) texts.Warnings = report.warnings.join("; ");
  return listed(texts);
}

const download = async (name) => save(await (await ask(`result/${name}`)).blob(), name);

on("open-form", "submit", () => {
  const path = by("path").value;
  return inTurn(() => open({ path }));
});
on("enhance-form", "submit", enhance);
on("cancel", "click", async () => take(await post("cancel")));
on("goal", "change", chooseGoal);
on("model", "change", chooseModel);
on("detail", "input", chooseDetail);
for (const [id, name] of [["download-volume", "result.nii.gz"], ["download-report", "report.json"]]) {
  on(id, "click", (event) => event.detail < 2 && download(name)); // a double click saves once
}
onFiles((files) => files.length && inTurn(() => upload(files)));
const started = attempt(start)();

// In the storage only while a page is reloaded: a browser that duplicates a tab copies what is there.
window.addEventListener("pageshow", () => sessionStorage.removeItem("session"));
window.addEventListener("pagehide", () => session && sessionStorage.setItem("session", session));
