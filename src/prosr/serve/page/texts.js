// All texts of the page.

export const texts = {
  about: "Enlarge photographs. Nothing leaves the machine that runs this page.",
  drop: "Choose pictures",
  dropMore: "or drop or paste them here",
  settings: "Settings",
  scale: "Enlarge",
  factor: "by a factor",
  fitInto: "to fit into",
  fillBox: "to fill",
  width: "to a width",
  height: "to a height",
  longSide: "to a long side",
  megapixels: "to megapixels",
  print: "to print at 300 dpi",
  size: "Factor or size",
  sizes: { scale: "1.5", fit: "3840x2160", fill: "3840x2160", width: "3840", height: "2160", long_side: "3840", megapixels: "16", print: "60x40cm" },
  quality: "Quality",
  auto: "auto",
  strip: "Leave out metadata (place, date, camera)",
  jobs: "Jobs",
  model: "Model",
  strength: "Texture",
  format: "Format",
  sameFormat: "As the picture",
  enlarge: "Enlarge",
  enlargeMany: (count) => `Enlarge ${count} pictures`,
  remove: "Remove",
  removeName: (name) => `Remove ${name}`,
  cancel: "Cancel",
  cancelName: (name) => `Cancel ${name}`,
  cancelAll: "Cancel all",
  clear: "Delete",
  download: "Download",
  downloadName: (name) => `Download ${name}`,
  downloadAll: "Download all as zip",
  zipTooLarge: "A zip of these pictures would have more than 4 GB. Download them one by one.",
  compare: "Compare",
  compareName: (name) => `Compare ${name} before and after`,
  preview: "Preview",
  previewName: (name) => `Preview of ${name}`,
  zoom: "Zoom",
  fit: "Fit",
  close: "Close",
  stage: "Pictures before and after; the arrow keys move them",
  divider: "Divider between before and after",
  before: "Before",
  after: "After",
  piece: "a piece of the picture",
  unseenFormat: "a piece of the picture, because browsers do not show this format",
  token: "Token of this service",
  enter: "Enter",
  sending: (share) => `Sending, ${share} %`,
  waiting: (count) => (count ? `Waiting for ${count} other ${count === 1 ? "picture" : "pictures"}` : "Waiting"),
  running: (share) => `${share} %`,
  left: (seconds) => `about ${duration(seconds)} left`,
  cancelled: "Cancelled",
  failed: "Failed",
  done: (result, model) => `${size(result)}, ${bytes(result.bytes)}, ${duration(result.seconds)}, ${model}`,
  saidDone: (name) => `${name} is enlarged`,
  saidFailed: (name) => `${name} has failed`,
  job: (count, options) => `${count === 1 ? "1 picture" : `${count} pictures`}, ${asked(options)}, ${options.model}`,
  expires: (seconds) => `kept for ${duration(seconds)}`,
  lost: "The service does not answer. Trying again…",
  noAnswer: "The service does not answer. Start it, or try again.",
  models: {
    auto: "auto takes the model that suits each picture: prosr-xs-real for JPEG, prosr-xs for clean ones.",
    "prosr-xs": "prosr-xs keeps to what the picture shows. It invents nothing.",
    "prosr-xs-real": "prosr-xs-real removes what JPEG, messengers and noise left in a picture.",
    "progansr-xs": "progansr-xs is for clean pictures, and sharper than prosr-xs. It invents texture, as much as you choose.",
    "progansr-xs-real": "progansr-xs-real is for JPEG and noisy pictures, and sharper than prosr-xs-real. It invents texture, as much as you choose.",
    bicubic: "bicubic is the usual enlargement without a network, to compare with.",
  },
};

function asked(options) {
  const name = Object.keys(texts.sizes).find((known) => known !== "scale" && options[known]);
  return name ? `${name.replace("_", " ")} ${options[name]}` : `${options.scale ?? 4} ×`;
}

export function size({ width, height }) {
  return `${width} × ${height}`;
}

export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${seconds < 10 ? Math.max(0.1, seconds).toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function fillTexts(root) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  for (const element of root.querySelectorAll("[data-hint]")) element.placeholder = texts[element.dataset.hint];
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", texts[element.dataset.label]);
  }
}
