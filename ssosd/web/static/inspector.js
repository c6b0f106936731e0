// The inspector: a list of candidates, one of them blinking, verdicts by keys.
import { again } from "./again.js";
import { Blink } from "./blink.js";
import { fieldMap, lightCurve, residuals } from "./charts.js";
import { Queue, get, undo } from "./server.js";
import { startTheme } from "./theme.js";

const POLL_MS = 2000;
const POLL_SOON_MS = 700; // while files are to follow
const AHEAD = 3; // candidates that are fetched before they are looked at
const KEPT = 60; // candidates whose pixels are kept
const WORDS = { asteroid: "asteroid", artifact: "artifact", unknown: "unknown" };
const KEYS = { ArrowRight: "asteroid", ArrowLeft: "artifact", ArrowUp: "unknown" };

const $ = (id) => document.getElementById(id);
const night = decodeURIComponent(location.pathname.split("/").at(-2));
const settings = {
  speed: 3, zoom: 2.5, contrast: "zscale", mark: true, track: false, invert: false, order: "first", show: "all",
  ...JSON.parse(localStorage.getItem("ssosd-settings") || "{}"),
  paused: false,
};
const state = { overview: null, byId: new Map(), current: null, version: 0, deeds: 0, past: [], cache: new Map() };
const blink = new Blink($("blink"), settings);
const queue = new Queue({ taken, refused, changed: drawProgress });

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function keepSettings() {
  localStorage.setItem("ssosd-settings", JSON.stringify({ ...settings, paused: undefined }));
}

// ---- candidates -------------------------------------------------------------------------------------------

const ORDERS = {
  first: (a, b) => a.place - b.place,
  name: () => 0,
  mag: (a, b) => (a.mag ?? 99) - (b.mag ?? 99),
  score: (a, b) => (b.score ?? -1) - (a.score ?? -1),
};

function listed() {
  const { show, order } = settings;
  const chosen = state.overview.candidates.filter(
    (c) => show === "all" || c === state.current || (show === "open" ? !c.verdict : c.verdict === show),
  );
  return chosen.sort((a, b) => ORDERS[order](a, b) || (a.id < b.id ? -1 : 1));
}

function known(candidate) {
  const name = [candidate.number, candidate.name].filter(Boolean).join(" ");
  if (name) return candidate.state === "possible" ? `${name}?` : name;
  return candidate.state;
}

function number(value, digits, unit = "") {
  return value === null || value === undefined ? "–" : `${value.toFixed(digits)}${unit}`;
}

/** A candidate's details and pixels; an error when its name has come to mean another object. */
async function askFor(candidate) {
  const path = `candidates/${encodeURIComponent(candidate.id)}`;
  const bytes = await (await get(`${path}/pixels`)).arrayBuffer();
  const details = await (await get(path)).json(); // after the pixels: when these are still of it, so are they
  const { mjd, ra, dec } = details.detections[0];
  const same = mjd === candidate.mjd && ra === candidate.ra && dec === candidate.dec;
  if (!same || details.detections.length !== candidate.n) throw new Error(`${candidate.id} is being linked anew.`);
  return { details, bytes: new Uint8Array(bytes) };
}

function fetchCandidate(candidate) {
  const { id } = candidate;
  if (!state.cache.has(id)) {
    const wanted = askFor(candidate);
    wanted.catch(() => state.cache.delete(id));
    state.cache.set(id, wanted);
    if (state.cache.size > KEPT) state.cache.delete(state.cache.keys().next().value);
  }
  return state.cache.get(id);
}

async function open(id, { remember = true } = {}) {
  const candidate = state.byId.get(id);
  if (!candidate) return;
  if (remember && state.current && state.current !== candidate) state.past.push(state.current.id);
  state.current = candidate;
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  drawList();
  drawTitle();
  drawFacts();
  try {
    const { details, bytes } = await fetchCandidate(candidate);
    if (state.current !== candidate) return;
    state.details = details;
    blink.load(details, bytes);
    drawDetails();
  } catch (error) {
    if (state.current === candidate) {
      blink.clear();
      toast(error.message);
    }
  }
  const all = listed();
  const from = all.indexOf(candidate);
  for (const next of all.slice(from + 1, from + 1 + AHEAD)) fetchCandidate(next).catch(() => {});
}

function next() {
  const all = listed();
  const from = all.indexOf(state.current);
  const following = [...all.slice(from + 1), ...all.slice(0, from)].find((c) => !c.verdict);
  if (following) open(following.id);
  else {
    drawTitle();
    drawList();
    if (state.overview.candidates.every((c) => c.verdict)) toast("Every candidate has a verdict.", "good");
  }
}

function move(by) {
  const all = listed();
  const target = all[all.indexOf(state.current) + by];
  if (target) open(target.id);
}

function back() {
  const id = state.past.pop();
  if (id) open(id, { remember: false });
  else move(-1);
}

// ---- verdicts ---------------------------------------------------------------------------------------------

function person() {
  return $("person").value.trim() || state.overview.you;
}

function judge(verdict) {
  const candidate = state.current;
  if (!candidate) return;
  const { id, version, mjd, ra, dec } = candidate;
  queue.give({ candidate: id, verdict, version, person: person(), seen: { mjd, ra, dec } });
  candidate.verdict = verdict;
  candidate.person = person();
  flash(verdict);
  next();
}

function flash(verdict) {
  const button = $(verdict);
  button.classList.remove("flash");
  requestAnimationFrame(() => button.classList.add("flash"));
}

function adopt(now) {
  const candidate = state.byId.get(now.candidate);
  if (!candidate || now.version < candidate.version) return;
  candidate.version = now.version;
  if (queue.has(now.candidate)) return; // what was given since, counts on the page
  candidate.verdict = now.verdict;
  candidate.person = now.person;
  candidate.at = now.at;
}

/** A verdict is kept, of what is called `now.candidate` there and `called` here. */
function taken(now, called = now.candidate) {
  state.deeds += 1;
  state.overview.files = { state: "waiting", detail: "" }; // until the service says that they are written
  if (now.candidate === called) adopt(now); // else the list is old, and is read again with the next poll
  redraw();
}

async function refused(deed, now, reason) {
  const why = now
    ? `${now.person} said ${now.verdict ?? "nothing"} of ${now.candidate} in the meantime`
    : `${deed.candidate}: ${reason || "linked anew, no candidate is there any more"}`;
  if (now?.candidate !== deed.candidate) await loadAgain().catch(() => {}); // the next poll says what is wrong
  if (now) {
    adopt(now);
    open(now.candidate);
  }
  toast(`${why}; yours (${deed.verdict}) is not kept.${now ? " Look again." : ""}`);
  redraw();
}

async function takeBack() {
  if (queue.length) {
    toast("Verdicts are still on their way; undo when they are kept.");
    return;
  }
  try {
    await catchUp(); // so that the name in the answer means the same here
    const { taken: done, now } = await undo(person());
    if (!now) toast("There is nothing of yours to undo.");
    else {
      if (done) taken(now);
      else adopt(now);
      if (!done) toast(`${now.person} has judged ${now.candidate} since: not undone.`);
      open(now.candidate);
    }
  } catch (error) {
    toast(`not undone: ${error.message}`);
  }
  redraw();
}

/** What others have said since; the page's own verdicts come back too and change nothing. */
async function catchUp() {
  const before = state.deeds;
  const answer = await get(`changes?after=${state.version}`);
  const { history: deeds, linked, files } = await answer.json();
  if (JSON.stringify(linked) !== JSON.stringify(state.overview.linked)) await loadAgain();
  else {
    for (const deed of deeds) {
      state.version = Math.max(state.version, deed.version);
      // a verdict of ours that waits was given on what was seen then: it keeps that version
      if (!queue.has(deed.candidate)) adopt(deed);
    }
    if (deeds.length) redraw();
  }
  if (state.deeds === before) state.overview.files = files;
}

async function poll() {
  try {
    await catchUp();
    state.away = "";
  } catch (error) {
    state.away = error.message;
  }
  drawProgress();
  setTimeout(poll, state.overview.files.state === "waiting" ? POLL_SOON_MS : POLL_MS);
}

// ---- what is seen -----------------------------------------------------------------------------------------

function redraw() {
  drawList();
  drawTitle();
  drawProgress();
  drawMap();
}

function drawList() {
  const list = $("list");
  const rows = listed();
  const old = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const wanted = rows.map((candidate) => {
    const row = old.get(candidate.id) ?? newRow(candidate);
    const className = `${candidate.verdict ?? "open"}${candidate === state.current ? " here" : ""}`;
    if (row.className !== className) row.className = className;
    row.querySelector(".word").textContent = candidate.verdict ? WORDS[candidate.verdict] : "";
    return row;
  });
  if (wanted.length !== list.children.length || wanted.some((row, k) => row !== list.children[k])) {
    list.replaceChildren(...wanted);
  }
  list.querySelector(".here")?.scrollIntoView({ block: "nearest" });
}

function newRow(candidate) {
  const row = element("li");
  row.dataset.id = candidate.id;
  const about = `${number(candidate.rate, 1)}″/h  ${number(candidate.mag, 1)}`;
  row.append(element("b", "", candidate.id), element("span", "word"), element("small", "", about), element("small", `state ${candidate.state}`, known(candidate)));
  row.addEventListener("click", () => open(candidate.id));
  return row;
}

function drawTitle() {
  const candidate = state.current;
  $("name").textContent = candidate?.id ?? "";
  $("known").textContent = candidate ? known(candidate) : "";
  $("known").className = `state ${candidate?.state ?? ""}`;
  const said = $("said");
  said.className = candidate?.verdict ?? "";
  const who = candidate?.person && candidate.person !== person() ? `, says ${candidate.person}` : "";
  said.textContent = candidate?.verdict ? `${WORDS[candidate.verdict]}${who}` : "";
  for (const verdict of Object.keys(WORDS)) {
    $(verdict).setAttribute("aria-pressed", String(candidate?.verdict === verdict));
  }
}

function drawProgress() {
  if (!state.overview) return;
  const all = state.overview.candidates;
  const done = all.filter((c) => c.verdict).length;
  $("count").textContent = `${done} of ${all.length} judged`;
  $("bar").style.width = `${all.length ? (100 * done) / all.length : 0}%`;
  const option = $("night").selectedOptions[0];
  if (option && state.overview.kind === "night") option.textContent = `${option.value}  ${done}/${all.length}`;
  const files = $("files");
  const [kind, words, title] = filesState();
  files.className = `chip ${kind}`;
  files.textContent = words;
  files.title = title;
}

function filesState() {
  const { state: how, detail } = state.overview.files;
  if (queue.problem || state.away) {
    const waiting = queue.length ? `: ${queue.length} ${queue.length > 1 ? "verdicts wait" : "verdict waits"} here, keep this page open` : "";
    return ["bad", `no answer${waiting}`, queue.problem || state.away];
  }
  if (queue.length) return ["busy", "keeping…", ""];
  if (how === "failed") return ["bad", "kept; files not written", detail];
  if (how === "waiting") return ["busy", "kept; files follow", detail];
  return ["good", "kept, files written", "verdicts are in the store, candidates.csv and the drafts"];
}

function drawFacts() {
  const c = state.current;
  const rate = c.rate_err ? `${number(c.rate, 2)} ± ${number(c.rate_err, 2)} ″/h` : number(c.rate, 2, " ″/h");
  const magnitude = c.mag === null ? "–" : `${c.mag.toFixed(2)}${c.band ? ` ${c.band}` : " (instrumental)"}`;
  const facts = [
    ["rate", rate],
    ["PA", number(c.pa, 0, "°")],
    ["magnitude", magnitude],
    ["known as", known(c) + (c.class ? `, ${c.class}` : "") + (c.known_mag ? `, V ${c.known_mag.toFixed(1)}` : "")],
    ["nearby", c.nearby],
    ["detections", `${c.n} in ${number(c.hours, 2)} h`],
    ["linked by", c.linked_by],
    ["score", c.score === undefined || c.score === null ? null : number(c.score, 2)],
    ["NEO score", c.neo_score === undefined || c.neo_score === null ? null : number(c.neo_score, 0)],
    ["extended", c.extended === undefined || c.extended === null ? null : number(c.extended, 2, " mag more than a star")],
    ["position", `${number(c.ra, 5)}  ${c.dec >= 0 ? "+" : ""}${number(c.dec, 5)}`],
    ["flags", c.flags.join(", ") || "none"],
  ];
  $("facts").replaceChildren(
    ...facts.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", "", name), element("dd", "", String(value))]),
  );
  $("field").textContent = c.field ?? "";
  drawMap();
}

function drawMap() {
  const c = state.current;
  if (!c) return;
  const field = state.overview.fields.find((f) => f.field === c.field);
  const mates = state.overview.candidates.filter((other) => other.field === c.field);
  $("map").replaceChildren(fieldMap(field, mates, c, open));
}

function drawDetails() {
  const { detections, frames } = state.details;
  $("light").replaceChildren(lightCurve(detections, state.current.hours));
  $("residuals").replaceChildren(residuals(detections, state.current.hours));
  drawMissed(state.details.missed);
  $("film").replaceChildren(
    ...frames.map((frame, k) => {
      const button = element("button", "", frameTitle(frame, detections[k]));
      button.title = [detections[k].image, frame.reason, ...detections[k].flags].filter(Boolean).join("\n");
      button.addEventListener("click", () => {
        pause(true);
        blink.show(k);
        button.blur();
      });
      return button;
    }),
  );
  drawFrame(0);
}

function drawMissed(missed) {
  $("without").hidden = missed.length === 0;
  $("missed").replaceChildren(
    ...missed.flatMap((m) => {
      const light = m.mag !== null ? `, ${m.mag.toFixed(2)} ${m.band}` : m.limit !== null ? `, fainter than ${m.limit.toFixed(1)}` : "";
      const what = element("dd", "", `${m.state}${m.state === "measured" || m.state === "too faint" ? light : ""}`);
      what.title = [m.image, m.reason].filter(Boolean).join("\n");
      return [element("dt", "", clock(m.mjd)), what];
    }),
  );
}

function clock(mjd) {
  return new Date((mjd - 40587) * 86400000).toISOString().slice(11, 19);
}

function frameTitle(frame, detection) {
  const time = frame.date ? frame.date.slice(11, 19) : number(detection.mjd, 4);
  return `${time}${detection.flags.length ? " ⚑" : ""}`;
}

function drawFrame(frame) {
  [...$("film").children].forEach((button, k) => button.classList.toggle("here", k === frame));
  for (const dot of document.querySelectorAll("aside [data-frame]")) {
    dot.classList.toggle("here", Number(dot.dataset.frame) === frame);
  }
}

function toast(words, kind = "bad") {
  const box = $("toast");
  box.textContent = words;
  box.className = kind;
  box.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => {
    box.hidden = true;
  }, 8000);
}

// ---- settings and keys ------------------------------------------------------------------------------------

function pause(paused) {
  settings.paused = paused;
  $("pause").textContent = paused ? "go on" : "pause";
  blink.go();
}

function set(name, value) {
  settings[name] = value;
  const input = $(name);
  if (input.type === "checkbox") input.checked = value;
  else input.value = value;
  keepSettings();
  if (name === "contrast" || name === "invert") blink.shade();
  else if (name === "speed") blink.go();
  else if (name === "order" || name === "show") drawList();
  else if (name === "zoom") blink.zoomed();
  else blink.draw();
}

function step(name, by) {
  const input = $(name);
  set(name, Math.min(Number(input.max), Math.max(Number(input.min), settings[name] + by)));
}

const CONTRASTS = ["zscale", "linear", "asinh"];
const ACTIONS = {
  ArrowDown: back, Backspace: back, u: takeBack, n: next, j: () => move(1), k: () => move(-1),
  " ": () => pause(!settings.paused),
  ",": () => { pause(true); blink.step(-1); },
  ".": () => { pause(true); blink.step(1); },
  "[": () => step("speed", -1), "]": () => step("speed", 1),
  "+": () => step("zoom", 0.5), "=": () => step("zoom", 0.5), "-": () => step("zoom", -0.5),
  c: () => set("contrast", CONTRASTS[(CONTRASTS.indexOf(settings.contrast) + 1) % CONTRASTS.length]),
  m: () => set("mark", !settings.mark), t: () => set("track", !settings.track), i: () => set("invert", !settings.invert),
  "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select");
  if (typing || $("help").open || event.ctrlKey || event.metaKey || event.altKey || !state.current) return;
  const verdict = KEYS[event.key];
  const action = ACTIONS[event.key];
  if (!verdict && !action) return;
  event.preventDefault();
  if (verdict && !event.repeat) judge(verdict); // a key that is held down judges once
  else if (action) action();
});

function listen() {
  for (const verdict of Object.keys(WORDS)) $(verdict).addEventListener("click", () => judge(verdict));
  $("back").addEventListener("click", back);
  $("pause").addEventListener("click", () => pause(!settings.paused));
  for (const name of ["speed", "zoom"]) $(name).addEventListener("input", (e) => set(name, Number(e.target.value)));
  for (const name of ["mark", "track", "invert"]) $(name).addEventListener("change", (e) => set(name, e.target.checked));
  for (const name of ["contrast", "order", "show"]) $(name).addEventListener("change", (e) => set(name, e.target.value));
  for (const input of document.querySelectorAll("button, .controls input, select")) {
    input.addEventListener("click", () => input.matches("select") || input.blur()); // keys are for the page
    if (input.matches("select")) input.addEventListener("change", () => input.blur());
  }
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("night").addEventListener("change", (e) => location.assign(`../${encodeURIComponent(e.target.value)}/`));
  $("person").addEventListener("keydown", (e) => e.key === "Enter" && e.target.blur());
  $("person").addEventListener("change", (e) => {
    localStorage.setItem("ssosd-person", e.target.value.trim());
    drawTitle();
  });
  window.addEventListener("beforeunload", (event) => queue.length && event.preventDefault());
  startTheme($("theme"));
  blink.onFrame = drawFrame;
}

/**
 * Read the list; what is looked at, was looked at or is on its way is found again by its place.
 * Gives what was looked at, and the stamps of linking before.
 */
async function load() {
  const overview = await (await get("candidates")).json();
  const { current, byId: before, overview: old } = state;
  const found = (name, seen) => again(overview.candidates, name, seen);
  state.overview = overview;
  state.version = Math.max(state.version, overview.version);
  overview.candidates.forEach((c, place) => Object.assign(c, { place })); // the report's order
  state.byId = new Map(overview.candidates.map((c) => [c.id, c]));
  for (const deed of queue.waiting) {
    const candidate = found(deed.candidate, deed.seen);
    if (candidate) {
      deed.candidate = candidate.id;
      candidate.verdict = deed.verdict;
    }
  }
  state.current = (current && found(current.id, current)) ?? null;
  state.past = state.past.flatMap((id) => found(id, before.get(id))?.id ?? []);
  state.cache.clear();
  $("list").replaceChildren();
  return { was: current, linked: old?.linked };
}

/** Read the list again, stay at the object that is looked at, and say which fields were linked anew. */
async function loadAgain() {
  const { was, linked } = await load();
  const { current: now, overview, details } = state;
  const anew = Object.keys(linked).filter((field) => linked[field] !== overview.linked[field]);
  if (anew.length) {
    const gone = was && !now;
    const renamed = gone ? `: ${was.id} is no candidate any more` : was && was.id !== now.id ? `: ${was.id} is ${now.id} now` : "";
    toast(`${anew.join(", ")} linked anew${renamed}.`, gone ? "bad" : "good");
  }
  if (!now || anew.includes(now.field) || details?.id !== now.id) show(now);
  redraw();
}

/** Open a candidate, or without one what is to be judged first. */
async function show(asked) {
  $("note").hidden = state.overview.candidates.length > 0;
  const here = asked ?? listed().find((c) => !c.verdict) ?? listed()[0];
  if (here) await open(here.id, { remember: false });
  else {
    blink.clear();
    for (const id of ["facts", "film", "light", "residuals", "missed", "map"]) $(id).replaceChildren();
  }
}

async function start() {
  listen();
  await load();
  const { overview } = state;
  document.title = `ssosd ${overview.title}`;
  $("night").replaceChildren(
    ...overview.nights.map((n) => {
      const option = element("option", "", n.candidates === null ? overview.title : `${n.name}  ${n.judged}/${n.candidates}`);
      option.value = n.name;
      option.selected = n.name === night;
      return option;
    }),
  );
  $("person").value = localStorage.getItem("ssosd-person") || overview.you;
  $("live").hidden = !overview.live;
  for (const name of ["speed", "zoom", "contrast", "order", "show", "mark", "track", "invert"]) set(name, settings[name]);
  drawProgress();
  blink.fit();
  await show(state.byId.get(decodeURIComponent(location.hash.slice(1))));
  queue.run();
  setTimeout(poll, POLL_MS);
}

start().catch((error) => toast(error.message));
