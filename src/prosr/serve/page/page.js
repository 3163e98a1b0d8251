// The page: chosen pictures, settings, and jobs with their pictures.

import { Problem, fileUrl, follow, onToken, request, save, submit } from "./api.js";
import { bytes, fillTexts, size, texts } from "./texts.js";
import { compare } from "./viewer.js";
import { ZIP_BYTES, zip } from "./zip.js";

const $ = (id) => document.getElementById(id);
const SHOWN = ["image/jpeg", "image/png", "image/webp", "image/avif", "image/gif"];
const LOSSLESS = ["png", "tiff"];
const JOBS = "prosr.jobs";
const SETTINGS = "prosr.settings";
const SETTING_NAMES = ["scale", "size", "model", "strength", "format", "quality", "strip"];

let chosen = [];
let models = new Map();

function element(tag, about = {}, ...children) {
  const made = document.createElement(tag);
  const { text, label, ...rest } = about;
  Object.assign(made, rest);
  if (text !== undefined) made.textContent = text;
  if (label !== undefined) made.setAttribute("aria-label", label);
  made.append(...children);
  return made;
}

function button(text, label, onclick) {
  return element("button", { type: "button", text, label, onclick });
}

function complain(message) {
  $("problem").hidden = !message;
  $("problem").textContent = message;
}

async function trying(action) {
  try {
    complain("");
    return await action();
  } catch (error) {
    if (!(error instanceof Problem || error instanceof TypeError)) throw error;
    complain(error instanceof Problem ? error.message : texts.noAnswer);
  }
}

// -- chosen pictures --------------------------------------------------------------------------

function add(files) {
  for (const file of files) {
    const url = SHOWN.includes(file.type) ? URL.createObjectURL(file) : "";
    chosen.push({ file, url });
  }
  showChosen();
}

function showChosen() {
  $("chosen").replaceChildren(
    ...chosen.map((item, index) =>
      element("li", {},
        thumbnail(item.url, item.file.type),
        element("span", { className: "name", text: item.file.name, title: item.file.name }),
        element("span", { className: "hint", text: bytes(item.file.size) }),
        button(texts.remove, texts.removeName(item.file.name), () => {
          chosen.splice(index, 1);
          showChosen();
        }),
      ),
    ),
  );
  $("go").disabled = chosen.length === 0;
  $("go").textContent = chosen.length > 1 ? texts.enlargeMany(chosen.length) : texts.enlarge;
}

function thumbnail(url, type) {
  const kind = type.replace("image/", "").replace("application/octet-stream", "?").slice(0, 5).toUpperCase();
  const named = element("span", { className: "thumbnail", text: kind });
  if (!url) return named;
  const image = element("img", { className: "thumbnail", src: url, alt: "" });
  // A broken picture, or a format that this browser does not know.
  image.onerror = () => image.replaceWith(named);
  return image;
}

$("files").addEventListener("change", () => {
  add($("files").files);
  $("files").value = "";
});
document.addEventListener("paste", (event) => add(event.clipboardData.files));
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    if (kind === "drop") add(event.dataTransfer.files);
  });
}

// -- settings ---------------------------------------------------------------------------------

function settings() {
  const value = ({ type, checked, value }) => (type === "checkbox" ? (checked ? "true" : "") : value);
  const wanted = Object.fromEntries(SETTING_NAMES.map((name) => [name, value($(name))]));
  localStorage.setItem(SETTINGS, JSON.stringify(wanted));
  if (!models.get(wanted.model)?.strength) delete wanted.strength;
  if (LOSSLESS.includes(wanted.format)) delete wanted.quality;
  const { scale, size: amount } = wanted;
  delete wanted.scale;
  delete wanted.size;
  if (scale in texts.sizes) wanted[scale] = amount || texts.sizes[scale];
  else wanted.scale = scale;
  return Object.entries(wanted).filter(([, value]) => value !== "");
}

function showSettings() {
  const model = models.get($("model").value);
  $("strength-field").hidden = !model?.strength;
  $("strength-value").textContent = $("strength").value;
  $("about-model").textContent = texts.models[model?.name] ?? "";
  $("quality-field").hidden = LOSSLESS.includes($("format").value);
  const example = texts.sizes[$("scale").value];
  $("size").hidden = !example;
  $("size").placeholder = example ?? "";
}

async function loadModels() {
  const list = await (await request("v1/models")).json();
  models = new Map(list.map((model) => [model.name, model]));
  $("model").replaceChildren(...list.map(({ name }) => element("option", { value: name, text: name })));
  const before = JSON.parse(localStorage.getItem(SETTINGS) ?? "{}");
  for (const name of SETTING_NAMES) {
    if (!(name in before)) continue;
    if ($(name).type === "checkbox") $(name).checked = before[name] === "true";
    else $(name).value = before[name];
  }
  if (!$("model").value) $("model").selectedIndex = 0;
  showSettings();
}

$("form").addEventListener("input", () => {
  showSettings();
  settings();
});

// -- jobs -------------------------------------------------------------------------------------

function remembered() {
  return JSON.parse(localStorage.getItem(JOBS) ?? "[]");
}

function remember(id) {
  localStorage.setItem(JOBS, JSON.stringify([id, ...remembered().filter((known) => known !== id)].slice(0, 50)));
}

function forget(id) {
  localStorage.setItem(JOBS, JSON.stringify(remembered().filter((known) => known !== id)));
  $(`job-${id}`)?.remove();
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const sent = chosen;
  const form = new FormData();
  for (const { file } of sent) form.append("files", file, file.name);
  for (const [name, value] of settings()) form.append(name, value);
  $("go").disabled = true;
  const job = await trying(() =>
    submit(form, (share) => ($("go").textContent = texts.sending(Math.floor(100 * share)))),
  );
  if (job) {
    chosen = chosen.filter((item) => !sent.includes(item));
    remember(job.id);
    watch(job);
  }
  showChosen();
});

function watch(job) {
  const section = element("section", { id: `job-${job.id}`, className: "job" });
  $("jobs").prepend(section);
  const view = new JobView(section);
  view.show(job);
  follow(job.id, (now) => (now ? view.show(now) : forget(job.id)), () => view.lost());
}

class JobView {
  constructor(section) {
    this.title = element("h2");
    this.note = element("p", { className: "hint" });
    this.actions = element("p", { className: "actions" });
    this.list = element("ul");
    this.cards = [];
    section.append(this.title, this.note, this.actions, this.list);
  }

  lost() {
    this.note.textContent = texts.lost;
  }

  show(job) {
    const done = job.pictures.filter((picture) => picture.result);
    const open = job.pictures.filter((picture) => ["queued", "running"].includes(picture.state));
    this.title.textContent = texts.job(job.pictures.length, job.options);
    if (job.state === "ended") this.note.textContent = job.expires_in === null ? "" : texts.expires(job.expires_in);
    else this.note.textContent = job.seconds_left === null ? "" : texts.left(job.seconds_left);
    const actions = [];
    if (done.length > 1) actions.push(button(texts.downloadAll, undefined, () => trying(() => downloadAll(done))));
    if (open.length > 1) actions.push(button(texts.cancelAll, undefined, () => open.map(cancel)));
    if (job.state === "ended") actions.push(button(texts.clear, undefined, () => trying(() => remove(job.id))));
    const shape = actions.map((action) => action.textContent).join();
    if (this.shape !== shape) this.actions.replaceChildren(...actions);
    this.shape = shape;
    for (const picture of job.pictures) {
      const card = (this.cards[picture.number] ??= new Card(this.list));
      card.show(picture, job);
    }
  }
}

class Card {
  constructor(list) {
    this.thumbnail = element("span", { className: "thumbnail" });
    this.name = element("span", { className: "name" });
    this.about = element("span", { className: "hint" });
    this.state = element("span", { className: "state" });
    this.bar = element("progress", { max: 1 });
    this.actions = element("span", { className: "actions" });
    const text = element("div", { className: "text" }, this.name, this.about, this.state, this.bar);
    list.append(element("li", {}, this.thumbnail, text, this.actions));
  }

  async show(picture, job) {
    const { name, state, result } = picture;
    this.name.textContent = name;
    this.about.textContent = picture.width ? `${size(picture)}, ${bytes(picture.bytes)}` : bytes(picture.bytes);
    this.bar.hidden = state !== "running";
    this.bar.value = picture.progress;
    this.bar.setAttribute("aria-label", name);
    this.state.textContent = stateText(picture, job);
    this.state.classList.toggle("bad", state === "failed");
    const before = this.shape;
    if (before === state) return;
    this.shape = state;
    this.actions.replaceChildren(...cardActions(picture));
    if (before && state === "done") $("said").textContent = texts.saidDone(name);
    if (before && state === "failed") $("said").textContent = texts.saidFailed(name);
    if (this.pictured || !picture.width) return;
    this.pictured = true;
    const shown = SHOWN.includes(picture.type);
    const image = thumbnail(shown ? await fileUrl(`${place(picture)}/source`) : "", picture.type);
    this.thumbnail.replaceWith(image);
  }
}

const place = (picture) => `v1/jobs/${picture.job}/pictures/${picture.number}`;

function stateText(picture, job) {
  const { state, reason, result } = picture;
  if (state === "queued") {
    const first = job.pictures.find((other) => other.state === "queued");
    return texts.waiting(job.position + (picture.number - first.number));
  }
  if (state === "running") return texts.running(Math.floor(100 * picture.progress));
  if (state === "done") return texts.done(result, job.options.model) + (reason && `. ${reason}`);
  return state === "failed" ? reason : texts.cancelled;
}

function cardActions(picture) {
  const { name, state, result } = picture;
  const actions = [];
  const whole = result && SHOWN.includes(result.type) && SHOWN.includes(picture.type);
  if (result || ["queued", "running"].includes(state)) {
    const label = result ? texts.compareName(name) : texts.previewName(name);
    const open = async ({ target }) => {
      target.setAttribute("aria-busy", "true");
      await trying(() => (whole ? compareWhole(picture) : comparePiece(picture)));
      target.removeAttribute("aria-busy");
    };
    actions.push(button(result ? texts.compare : texts.preview, label, open));
  }
  if (result) {
    const fetchAndSave = async () => save(await resultBlob(picture), result.name);
    actions.push(button(texts.download, texts.downloadName(result.name), () => trying(fetchAndSave)));
  }
  if (["queued", "running"].includes(state)) {
    actions.push(button(texts.cancel, texts.cancelName(name), () => cancel(picture)));
  }
  return actions;
}

async function compareWhole(picture) {
  const [before, after] = await Promise.all(["source", "result"].map((file) => fileUrl(`${place(picture)}/${file}`)));
  await compare({ name: picture.name, note: size(picture.result), before, after });
}

async function comparePiece(picture) {
  // The service makes both when it is asked for one.
  const [before, after] = await Promise.all(["before.png", "after.png"].map((file) => fileUrl(`${place(picture)}/${file}`)));
  await compare({ name: picture.name, note: picture.result ? texts.unseenFormat : texts.piece, before, after });
}

async function resultBlob(picture) {
  return (await request(`${place(picture)}/result`)).blob();
}

async function downloadAll(pictures) {
  const total = pictures.reduce((sum, { result }) => sum + result.bytes, 0);
  if (total > ZIP_BYTES) throw new Problem(0, texts.zipTooLarge);
  const names = new Set();
  async function* files() {
    for (const picture of pictures) {
      const { name } = picture.result;
      const free = names.has(name) ? `${picture.number + 1}-${name}` : name;
      names.add(free);
      yield { name: free, blob: await resultBlob(picture) };
    }
  }
  save(await zip(files()), "prosr.zip");
}

async function cancel(picture) {
  await trying(() => request(place(picture), { method: "DELETE" }));
}

async function remove(id) {
  await request(`v1/jobs/${id}`, { method: "DELETE" });
  forget(id);
}

// -- start ------------------------------------------------------------------------------------

onToken(
  () =>
    new Promise((resolve) => {
      $("login").addEventListener("close", () => resolve($("token").value), { once: true });
      $("login").showModal();
    }),
);
fillTexts(document);
await trying(async () => {
  await loadModels();
  for (const id of remembered().reverse()) {
    const answer = await request(`v1/jobs/${id}`).catch((error) => {
      if (error.status !== 404) throw error;
      forget(id);
    });
    if (answer) watch(await answer.json());
  }
});
document.documentElement.dataset.ready = "true";
