"use strict";
const root = document.documentElement;
const by = (id) => document.getElementById(id);
function play() {
  by("play").textContent = root.classList.toggle("still") ? "play" : "pause";
}
by("play").addEventListener("click", play);
by("speed").addEventListener("input", (event) => {
  root.style.setProperty("--pace", `${1 / event.target.value}s`);
});
by("marks").addEventListener("change", (event) => {
  root.classList.toggle("unmarked", !event.target.checked);
});
by("theme").addEventListener("click", () => {
  const now = root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.style.colorScheme = now === "dark" ? "light" : "dark";
});
for (const frame of document.querySelectorAll(".blink")) {
  frame.addEventListener("click", () => frame.classList.toggle("held"));
}
addEventListener("keydown", (event) => {
  if (event.key === " " && event.target === document.body) {
    event.preventDefault();
    play();
  }
});
