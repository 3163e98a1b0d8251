// Compares two pictures: a divider, zoom, and panning by scrolling.

import { texts } from "./texts.js";

const $ = (id) => document.getElementById(id);
const dialog = $("viewer");
const stage = $("stage");
const canvas = $("canvas");
const divider = $("divider");
let zoom = "fit";

export async function compare({ name, note, before, after }) {
  $("viewer-name").textContent = name;
  $("viewer-note").textContent = note;
  for (const [id, url] of [["before", before], ["after", after]]) {
    $(id).src = url;
    $(id).alt = `${texts[id]}: ${name}`;
  }
  await Promise.all([$("before").decode(), $("after").decode()]);
  if (!dialog.open) dialog.showModal();
  divider.value = 50;
  show("fit");
  stage.focus();
}

// At 100 % a pixel of the result is a pixel of the screen.
function show(wanted, x = 0.5, y = 0.5) {
  zoom = wanted;
  const { naturalWidth: width, naturalHeight: height } = $("after");
  const pixel = 1 / window.devicePixelRatio;
  const fitting = Math.min(stage.clientWidth / width, stage.clientHeight / height, pixel);
  const factor = zoom === "fit" ? fitting : zoom * pixel;
  canvas.style.width = `${width * factor}px`;
  canvas.style.height = `${height * factor}px`;
  // Beyond 100 % the browser would blur the result, and hide what the network made.
  $("after").classList.toggle("sharp", factor > pixel);
  for (const button of dialog.querySelectorAll("[data-zoom]")) {
    button.setAttribute("aria-pressed", String(button.dataset.zoom === String(zoom)));
  }
  stage.scrollLeft = x * canvas.clientWidth - stage.clientWidth / 2;
  stage.scrollTop = y * canvas.clientHeight - stage.clientHeight / 2;
  divide();
}

// The divider keeps its place on the screen while the pictures move below it.
function divide() {
  const line = (divider.value / 100) * stage.clientWidth + stage.getBoundingClientRect().left;
  const left = Math.max(0, Math.min(canvas.clientWidth, line - canvas.getBoundingClientRect().left));
  $("after").style.clipPath = `inset(0 0 0 ${left}px)`;
  canvas.style.setProperty("--line", `${left}px`);
}

function centre() {
  const inside = stage.scrollLeft + stage.clientWidth / 2;
  return [inside / canvas.clientWidth, (stage.scrollTop + stage.clientHeight / 2) / canvas.clientHeight];
}

for (const button of dialog.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => {
    const wanted = button.dataset.zoom;
    show(wanted === "fit" ? wanted : Number(wanted), ...centre());
  });
}
divider.addEventListener("input", divide);
stage.addEventListener("scroll", divide);
window.addEventListener("resize", () => dialog.open && show(zoom, ...centre()));
stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  const now = zoom === "fit" ? canvas.clientWidth * window.devicePixelRatio / $("after").naturalWidth : zoom;
  show(Math.min(8, Math.max(0.05, now * (event.deltaY < 0 ? 1.25 : 0.8))), ...centre());
}, { passive: false });

// Dragging moves the pictures, except at the divider, which it moves.
stage.addEventListener("pointerdown", (event) => {
  if (event.pointerType !== "mouse" || event.button !== 0) return;
  event.preventDefault();
  stage.focus();
  const box = stage.getBoundingClientRect();
  const line = box.left + (divider.value / 100) * stage.clientWidth;
  const dividing = Math.abs(event.clientX - line) < 12;
  stage.setPointerCapture(event.pointerId);
  const move = (moved) => {
    if (dividing) {
      divider.value = (100 * (moved.clientX - box.left)) / stage.clientWidth;
      divide();
    } else {
      stage.scrollLeft -= moved.movementX;
      stage.scrollTop -= moved.movementY;
    }
  };
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", () => stage.removeEventListener("pointermove", move), { once: true });
});
$("viewer-close").addEventListener("click", () => dialog.close());
