// The blinking cutouts: bytes of the service to greys, frames over each other on the sky, mark and track on top.
import { colour } from "./theme.js";

const MARGIN = 12; // pixels around a track
const DARKEST = 4; // noise above black where asinh turns from a line into a logarithm

/** Grey of each byte, 0 (no value) apart. */
function greys(code, [low, high], contrast, negative) {
  const table = new Uint8ClampedArray(256);
  const bend = (high - low) / DARKEST;
  for (let byte = 1; byte < 256; byte += 1) {
    const value = code.soft * Math.sinh(code.low + (byte - 1) * code.step);
    let share = Math.min(1, Math.max(0, (value - low) / (high - low)));
    if (contrast === "asinh") share = Math.asinh(share * bend) / Math.asinh(bend);
    table[byte] = 255 * (negative ? 1 - share : share);
  }
  return table;
}

export class Blink {
  constructor(canvas, settings) {
    this.canvas = canvas;
    this.settings = settings;
    this.frame = 0;
    this.pictures = [];
    this.timer = 0;
    this.onFrame = () => {};
    new ResizeObserver(() => this.fit()).observe(canvas.parentElement);
    document.addEventListener("theme", () => this.draw());
  }

  /** Show a candidate: its details and the bytes of its frames. */
  load(details, bytes) {
    this.details = details;
    this.bytes = bytes;
    this.frame = 0;
    this.showWholeTrack();
    this.shade();
    this.go();
  }

  /** Zoom out until the whole track is seen, when that is more than the person has chosen. */
  showWholeTrack() {
    const frames = this.details.frames.filter((frame) => frame.anchor);
    const reach = Math.max(1, ...frames.flatMap((f) => f.track.map(([x, y]) => Math.max(Math.abs(x - f.anchor[0]), Math.abs(y - f.anchor[1])))));
    this.farthest = frames.length ? frames[0].width / (2 * (reach + MARGIN)) : Infinity;
  }

  zoomed() {
    this.farthest = Infinity;
    this.draw();
  }

  clear() {
    this.details = null;
    this.pictures = [];
    clearTimeout(this.timer);
    this.draw();
  }

  shade() {
    if (!this.details) return;
    const { contrast, invert } = this.settings;
    const table = greys(this.details.code, this.details.levels[contrast], contrast, invert);
    this.pictures = this.details.frames.map((frame) => {
      if (!frame.width) return null;
      const picture = document.createElement("canvas");
      picture.width = frame.width;
      picture.height = frame.height;
      const image = new ImageData(frame.width, frame.height);
      for (let k = 0; k < frame.width * frame.height; k += 1) {
        const byte = this.bytes[frame.offset + k];
        const grey = table[byte];
        image.data.set([grey, grey, grey, byte ? 255 : 0], 4 * k);
      }
      picture.getContext("2d").putImageData(image, 0, 0);
      return picture;
    });
    this.draw();
  }

  go() {
    clearTimeout(this.timer);
    if (!this.settings.paused && this.pictures.length > 1) {
      this.timer = setTimeout(() => {
        this.step(1);
        this.go();
      }, 1000 / this.settings.speed);
    }
  }

  step(by) {
    const n = this.pictures.length;
    if (!n) return;
    this.frame = (this.frame + by + n) % n;
    this.draw();
    this.onFrame(this.frame);
  }

  show(frame) {
    this.frame = frame;
    this.draw();
    this.onFrame(frame);
  }

  fit() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    const side = Math.max(120, Math.floor(Math.min(box.width, box.height)));
    const dots = window.devicePixelRatio || 1;
    this.canvas.style.width = `${side}px`;
    this.canvas.style.height = `${side}px`;
    this.canvas.width = this.canvas.height = Math.round(side * dots);
    this.draw();
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    const side = this.canvas.width;
    const dots = window.devicePixelRatio || 1;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = colour("void");
    pen.fillRect(0, 0, side, side);
    const frame = this.details?.frames[this.frame];
    if (!frame) return;
    const whole = Math.max(...this.details.frames.map((f) => Math.max(f.width, f.height)), 1);
    const zoom = Math.min(this.settings.zoom, Math.max(1, this.farthest));
    const scale = (side / whole) * zoom;
    if (!frame.width) {
      pen.fillStyle = colour("muted");
      pen.font = `${14 * dots}px system-ui`;
      pen.textAlign = "center";
      pen.fillText(frame.reason, side / 2, side / 2);
      return;
    }
    // the middle of the track stays where it is, so that frames lie over each other on the sky
    const [ax, ay] = frame.anchor ?? [(frame.width - 1) / 2, (frame.height - 1) / 2];
    const first = this.details.frames.find((f) => f.width);
    const [cx, cy] = zoom > 1 || !first.anchor ? [ax, ay]
      : [(first.width - 1) / 2 + ax - first.anchor[0], (first.height - 1) / 2 + ay - first.anchor[1]];
    const at = ([x, y]) => [side / 2 + (x - cx) * scale, side / 2 + (y - cy) * scale];
    const [x0, y0] = at([-0.5, -0.5]);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.pictures[this.frame], x0, y0, frame.width * scale, frame.height * scale);
    pen.shadowColor = "#000"; // so that lines are seen on stars and on sky
    pen.shadowBlur = 3 * dots;
    if (this.settings.track && frame.track?.length) this.drawTrack(pen, frame.track.map(at), dots);
    const here = frame.track?.[frame.detection];
    if (this.settings.mark && here) this.drawMark(pen, at(here), scale, dots);
    this.drawCompass(pen, frame, side, scale, dots);
    pen.shadowBlur = 0;
  }

  drawTrack(pen, points, dots) {
    pen.strokeStyle = pen.fillStyle = colour("track");
    pen.lineWidth = 1.25 * dots;
    pen.setLineDash([4 * dots, 4 * dots]);
    pen.beginPath();
    points.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
    pen.setLineDash([]);
    for (const [x, y] of points) {
      pen.beginPath();
      pen.arc(x, y, 2 * dots, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  /** Four ticks that leave the object itself free. */
  drawMark(pen, [x, y], scale, dots) {
    const from = Math.max(9 * dots, 4.5 * scale);
    const to = from + 12 * dots;
    pen.strokeStyle = colour("mark");
    pen.lineWidth = 2 * dots;
    pen.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + dx * from, y + dy * from);
      pen.lineTo(x + dx * to, y + dy * to);
    }
    pen.stroke();
  }

  drawCompass(pen, frame, side, scale, dots) {
    if (!frame.north) return;
    const length = 26 * dots;
    const [x, y] = [side - 50 * dots, side - 26 * dots];
    pen.strokeStyle = pen.fillStyle = colour("mark");
    pen.globalAlpha = 0.8;
    pen.lineWidth = 1.5 * dots;
    pen.font = `600 ${11 * dots}px system-ui`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (const [word, [dx, dy]] of [["N", frame.north], ["E", frame.east]]) {
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(x + dx * length, y + dy * length);
      pen.stroke();
      pen.fillText(word, x + dx * (length + 9 * dots), y + dy * (length + 9 * dots));
    }
    const arcsec = [1, 2, 5, 10, 20, 30, 60].findLast((a) => (a / frame.scale) * scale < side / 4);
    if (arcsec) {
      const width = (arcsec / frame.scale) * scale;
      const left = 14 * dots;
      pen.beginPath();
      pen.moveTo(left, side - 16 * dots);
      pen.lineTo(left + width, side - 16 * dots);
      pen.stroke();
      pen.fillText(`${arcsec}″`, left + width / 2, side - 27 * dots);
    }
    pen.globalAlpha = 1;
  }
}
