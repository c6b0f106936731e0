// Tonight at a glance, read only: the status of the daemon, asked for again every few seconds.
import { get } from "./server.js";
import { startTheme } from "./theme.js";

const EVERY_MS = 3000;
const $ = (id) => document.getElementById(id);
const KINDS = ["good", "busy", "bad", "bad"]; // by exit code

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

function tile(title, value, detail, kind = "") {
  const box = element("div", `tile ${kind}`);
  box.append(element("small", "", title), element("b", "", value), element("span", "", detail));
  return box;
}

function table(id, head, rows) {
  const made = [head.map((word) => element("th", "", word)), ...rows.map((row) => row.map((cell) => element("td", "", cell)))];
  $(id).replaceChildren(
    ...made.map((cells) => {
      const line = element("tr");
      line.append(...cells);
      return line;
    }),
  );
}

function bytes(n) {
  return n === null ? "–" : `${(n / 1e9).toFixed(0)} GB`;
}

function ago(seconds) {
  if (seconds === null) return "–";
  return seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function draw(s) {
  $("night").textContent = s.night ?? "";
  $("verdict").textContent = s.verdict;
  $("verdict").className = `chip ${KINDS[s.exit_code] ?? "bad"}`;
  $("because").textContent = s.because.join("; ");
  const { daemon, exposures, sequences, candidates, files, queue, disk } = s;
  $("tiles").replaceChildren(
    tile("daemon", daemon.state, daemon.beat_age_s === null ? daemon.detail : `last sign ${ago(daemon.beat_age_s)} ago`),
    tile("exposures", exposures.extracted, `of ${exposures.total} extracted`, exposures.parked ? "bad" : ""),
    tile("fields", sequences.done, `of ${sequences.total} done${sequences.linking ? `, ${sequences.linking} linking` : ""}`, sequences.parked ? "bad" : ""),
    tile("candidates", candidates.total, `${candidates.unknown} unknown, ${candidates.matched} known, ${candidates.unchecked} unchecked`),
    tile("queue", queue.settling + queue.exposures + queue.linking, queue.oldest_age_s === null ? "nothing waits" : `oldest waits ${ago(queue.oldest_age_s)}`),
    tile("files", files.seen, `${files.parked} parked, ${files.ignored} ignored, ${files.duplicate} twice`, files.parked ? "busy" : ""),
    tile("disk", bytes(disk.free_bytes), `free of ${bytes(disk.total_bytes)}`, disk.short ? "bad" : ""),
    ...Object.entries(s.services).map(([name, service]) => tile(name, service.state, (service.because ?? []).join("; ") || service.detail)),
  );
  table("fields", ["field", "state", "exposures", "linked", "sources", "candidates", ""], s.fields.map((f) => [
    f.field, f.state, f.n_exposures, f.n_linked, f.n_sources, f.n_candidates, f.reason ?? f.unchecked_because ?? f.complete_because ?? "",
  ]));
  $("parked-box").hidden = !s.parked.length;
  table("parked", ["what", "why", "next step"], s.parked.map((p) => [p.subject, p.reason, p.next_step ?? ""]));
  table("nights", ["night", "exposures", "fields", "candidates"], s.nights.map((n) => [
    n.night, n.n_exposures, `${n.n_done} of ${n.n_sequences} done`, n.n_candidates,
  ]));
  $("drafts-box").hidden = !s.drafts.length;
  table("drafts", ["draft", "observations", "file"], s.drafts.map((d) => [d.kind, d.n_observations, d.path]));
}

async function look() {
  try {
    const status = await (await get("status")).json();
    draw(status);
    $("age").textContent = `${status.at.slice(11, 19)} UTC`;
    $("age").className = "quiet";
  } catch (error) {
    $("age").textContent = `no answer: ${error.message}`;
    $("age").className = "bad";
  }
  setTimeout(look, EVERY_MS);
}

startTheme($("theme"));
look();
