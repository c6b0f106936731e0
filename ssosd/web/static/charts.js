// Small drawings beside the cutouts: light curve, residuals, the field with all tracks.
const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [280, 110];

export function node(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function frame(label, height = HEIGHT) {
  return node("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label });
}

function text(x, y, words, anchor = "start") {
  return node("text", { x, y, "text-anchor": anchor }, words);
}

/** Magnitudes over time, bright on top. */
export function lightCurve(detections, hours) {
  const points = detections.map((d, k) => ({ ...d, k })).filter((d) => d.mag !== null);
  const svg = frame("light curve");
  if (!points.length) return svg;
  const low = Math.min(...points.map((p) => p.mag - (p.mag_err ?? 0)));
  const high = Math.max(...points.map((p) => p.mag + (p.mag_err ?? 0)));
  const middle = (low + high) / 2;
  const half = Math.max(0.1, ((high - low) / 2) * 1.15);
  const start = detections[0].mjd;
  const span = Math.max(hours, 1e-6);
  const x = (mjd) => 44 + ((mjd - start) * 24 / span) * (WIDTH - 60);
  const y = (mag) => HEIGHT / 2 - 6 + ((mag - middle) / half) * (HEIGHT / 2 - 18);
  for (const mag of [middle - half * 0.8, middle, middle + half * 0.8]) {
    svg.append(node("line", { x1: 40, x2: WIDTH - 4, y1: y(mag), y2: y(mag), class: "grid" }), text(36, y(mag) + 3, mag.toFixed(2), "end"));
  }
  svg.append(text(44, HEIGHT - 2, "0"), text(WIDTH - 4, HEIGHT - 2, `${hours.toFixed(2)} h`, "end"));
  for (const p of points) {
    const error = p.mag_err ?? 0;
    svg.append(
      node("line", { x1: x(p.mjd), x2: x(p.mjd), y1: y(p.mag - error), y2: y(p.mag + error), class: "bar" }),
      node("circle", { cx: x(p.mjd), cy: y(p.mag), r: 3.2, class: "dot", "data-frame": p.k }),
    );
  }
  return svg;
}

/** Offsets from the straight line, east and north over time. */
export function residuals(detections, hours) {
  const svg = frame("residuals");
  const points = detections.map((d, k) => ({ ...d, k })).filter((d) => d.residual);
  if (!points.length) {
    svg.append(text(WIDTH / 2, HEIGHT / 2, "too few detections", "middle"));
    return svg;
  }
  const most = Math.max(0.2, ...points.flatMap((p) => p.residual.map(Math.abs))) * 1.15;
  const start = detections[0].mjd;
  const x = (mjd) => 44 + ((mjd - start) * 24 / Math.max(hours, 1e-6)) * (WIDTH - 60);
  const y = (arcsec) => HEIGHT / 2 - 6 - (arcsec / most) * (HEIGHT / 2 - 18);
  for (const value of [most * 0.8, 0, -most * 0.8]) {
    svg.append(node("line", { x1: 40, x2: WIDTH - 4, y1: y(value), y2: y(value), class: "grid" }), text(36, y(value) + 3, `${value.toFixed(1)}″`, "end"));
  }
  for (const p of points) {
    svg.append(
      node("circle", { cx: x(p.mjd) - 2, cy: y(p.residual[0]), r: 3.2, class: "dot", "data-frame": p.k }),
      node("rect", { x: x(p.mjd) - 1, y: y(p.residual[1]) - 3, width: 6, height: 6, class: "north", "data-frame": p.k }),
    );
  }
  svg.append(text(44, HEIGHT - 2, "● east  ■ north"));
  return svg;
}

/** The field with the track of each of its candidates, drawn longer than they are. */
export function fieldMap(field, candidates, current, choose) {
  const side = WIDTH;
  const svg = frame("field", side);
  const across = Math.max(field?.width ?? 0, field?.height ?? 0);
  const cos = Math.cos((current.dec * Math.PI) / 180);
  const ra0 = field?.ra ?? current.ra;
  const dec0 = field?.dec ?? current.dec;
  const east = (ra) => ((((ra - ra0) % 360) + 540) % 360 - 180) * cos;
  const reach = Math.max(across / 2, ...candidates.map((c) => Math.max(Math.abs(east(c.ra)), Math.abs(c.dec - dec0)))) * 1.06 || 0.01;
  const x = (ra) => side / 2 - (east(ra) / reach) * (side / 2); // east is left
  const y = (dec) => side / 2 - ((dec - dec0) / reach) * (side / 2);
  if (field?.width) {
    const [w, h] = [field.width / reach * side / 2, field.height / reach * side / 2];
    svg.append(node("rect", { x: (side - w) / 2, y: (side - h) / 2, width: w, height: h, class: "chip-edge" }));
  }
  const longest = Math.max(...candidates.map((c) => c.rate ?? 0), 1e-9);
  for (const c of candidates) {
    const length = 8 + 26 * Math.sqrt((c.rate ?? 0) / longest);
    const angle = ((c.pa ?? 0) * Math.PI) / 180;
    const kind = `${c.verdict ?? "open"}${c.id === current.id ? " here" : ""}`;
    const dot = node("g", { class: `mover ${kind}` },
      node("line", { x1: x(c.ra), y1: y(c.dec), x2: x(c.ra) - length * Math.sin(angle), y2: y(c.dec) - length * Math.cos(angle) }),
      node("circle", { cx: x(c.ra), cy: y(c.dec), r: c.id === current.id ? 5 : 3 }),
      node("circle", { cx: x(c.ra), cy: y(c.dec), r: 9, class: "touch" }),
      node("title", {}, c.id));
    dot.addEventListener("click", () => choose(c.id));
    svg.append(dot);
  }
  svg.append(text(8, side / 2, "E"), text(side / 2, 12, "N", "middle"));
  return svg;
}
