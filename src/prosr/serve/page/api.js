// Requests to the service that this page comes from, and to nothing else.

const TOKEN = "prosr.token";
let askForToken = async () => "";

export function onToken(ask) {
  askForToken = ask;
}

function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// A proxy may answer with anything.
function problemOf(status, title, text) {
  const [, detail] = text.match(/"detail":("(?:[^"\\]|\\.)*")/) ?? [];
  return new Problem(status, detail ? JSON.parse(detail) : `${status} ${title}`);
}

export async function request(path, options = {}) {
  for (;;) {
    const answer = await fetch(path, { ...options, headers: headers(options.headers) });
    if (answer.ok) return answer;
    const problem = problemOf(answer.status, answer.statusText, await answer.text());
    if (answer.status !== 401) throw problem;
    sessionStorage.setItem(TOKEN, await askForToken());
  }
}

// fetch does not tell how much has been sent.
export function submit(form, progress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", "v1/jobs");
    for (const [name, value] of Object.entries(headers())) sending.setRequestHeader(name, value);
    sending.setRequestHeader("Idempotency-Key", Array.from(crypto.getRandomValues(new Uint32Array(4))).join("-"));
    sending.upload.onprogress = (event) => progress(event.loaded / event.total);
    sending.onerror = () => reject(new TypeError("no answer"));
    sending.onload = () => {
      if (sending.status === 202) resolve(JSON.parse(sending.responseText));
      else reject(problemOf(sending.status, sending.statusText, sending.responseText));
    };
    sending.send(form);
  });
}

// Calls `changed` with a job whenever it changes, until it has ended. Resumes after an interruption.
export async function follow(id, changed, lost) {
  for (let last = null; last?.state !== "ended"; ) {
    try {
      const answer = await request(`v1/jobs/${id}/events`);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        const events = (text + value).split("\n\n");
        text = events.pop();
        for (const event of events) {
          if (!event.startsWith("event: job\ndata: ")) continue;
          last = JSON.parse(event.slice("event: job\ndata: ".length));
          changed(last);
        }
      }
    } catch (error) {
      if (error instanceof Problem && error.status === 404) return changed(null);
      lost();
    }
    if (last?.state !== "ended") await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

const kept = new Map();

// A file of the service as a URL for an image.
export async function fileUrl(path) {
  if (!kept.has(path)) kept.set(path, URL.createObjectURL(await (await request(path)).blob()));
  return kept.get(path);
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
