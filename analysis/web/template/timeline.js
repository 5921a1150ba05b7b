"use strict";
// The timeline to zoom and pan: draws the intervals of the page's data block on a canvas.
(() => {
  const FIELDS = 5; // of a span: kind, start, length, step, amount
  const GUTTER = 50, TITLE = 24, LANE = 24, BAR = 15, AXIS = 44, NARROWEST = 1e-5;
  const byId = (id) => document.getElementById(id);
  const canvas = byId("timeline-view"), pen = canvas.getContext("2d");
  const { kinds, scenes } = JSON.parse(byId("timeline-data").textContent);
  let scene = scenes[0], from = 0, to = scene.view_s || scene.end_s || 1;

  const width = () => Math.max(1, canvas.clientWidth - GUTTER - 8);
  const xOf = (time) => GUTTER + ((time - from) / (to - from)) * width();
  const timeAt = (x) => from + ((x - GUTTER) / width()) * (to - from);

  function show(start, length) {
    const all = scene.end_s || 1;
    length = Math.min(all, Math.max(all * NARROWEST, length));
    from = Math.min(Math.max(0, start), all - length);
    to = from + length;
    draw();
  }
  const pan = (share) => show(from + share * (to - from), to - from);
  const zoom = (factor, centre = (from + to) / 2) =>
    show(centre - (centre - from) * factor, (to - from) * factor);

  const actions = {
    in: () => zoom(0.5), out: () => zoom(2), left: () => pan(-0.5), right: () => pan(0.5),
    all: () => show(0, scene.end_s), start: () => show(0, to - from),
    end: () => show(scene.end_s, to - from),
  };
  const keys = {
    "+": "in", "=": "in", "-": "out", "_": "out", ArrowLeft: "left", ArrowRight: "right",
    0: "all", Home: "start", End: "end",
  };

  function tickStep(span, most) {
    const raw = span / most, power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((part) => part * power >= raw * 0.999999);
  }
  const decimals = (step) => Math.max(0, -Math.floor(Math.log10(step) + 1e-9));

  // The first of a lane's spans, which are in order of their starts, that starts after a time.
  function after(spans, time) {
    let low = 0, high = spans.length / FIELDS;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (spans[middle * FIELDS + 1] > time) high = middle; else low = middle + 1;
    }
    return low;
  }

  function fit() {
    const lanes = scene.panels.reduce((sum, panel) => sum + TITLE + LANE * panel.lanes.length, 0);
    const ratio = window.devicePixelRatio || 1, height = lanes + AXIS;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    return height;
  }

  function draw() {
    const height = fit(), right = GUTTER + width();
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(`--${name}`).trim();
    pen.clearRect(0, 0, canvas.clientWidth, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    drawAxis(ink, height, right);
    let top = 0;
    for (const panel of scene.panels) {
      pen.fillStyle = ink("ink");
      pen.textAlign = "left";
      pen.font = "600 13px system-ui, sans-serif";
      pen.fillText(panel.label, 0, top + TITLE / 2 + 2, canvas.clientWidth);
      pen.font = "12px system-ui, sans-serif";
      top += TITLE;
      for (const lane of panel.lanes) {
        pen.fillStyle = ink("soft");
        pen.textAlign = "right";
        pen.fillText(lane.worker ?? "server", GUTTER - 8, top + LANE / 2);
        drawLane(lane, top + 3, ink, right);
        top += LANE;
      }
    }
    const step = (to - from) / 1000, digits = decimals(step);
    const whole = scene.whole ? "" : ", the first part of the run";
    byId("timeline-range").textContent =
      `${from.toFixed(digits)} to ${to.toFixed(digits)} s of ` +
      `${Number(scene.end_s.toPrecision(6))} s${whole}; seed ${scene.seed}.`;
    canvas.dataset.from = from;
    canvas.dataset.to = to;
  }

  function drawAxis(ink, height, right) {
    const step = tickStep(to - from, Math.max(2, width() / 80)), digits = decimals(step);
    pen.strokeStyle = ink("line");
    pen.fillStyle = ink("soft");
    pen.textAlign = "center";
    for (let k = Math.ceil(from / step - 1e-9); k * step <= to + step * 1e-9; k += 1) {
      const x = xOf(k * step);
      pen.beginPath();
      pen.moveTo(x, TITLE);
      pen.lineTo(x, height - AXIS + 6);
      pen.stroke();
      const text = (k * step).toFixed(digits), half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(x, right + 8 - half), height - AXIS + 16);
    }
    pen.textAlign = "center";
    pen.fillText("simulated time [s]", (GUTTER + right) / 2, height - 9);
  }

  function drawLane(lane, top, ink, right) {
    const { spans } = lane, last = after(spans, to);
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, top - 4, right - GUTTER, LANE);
    pen.clip();
    const bars = (kind, y, tall) => {
      const code = kinds.indexOf(kind);
      pen.fillStyle = kind === "down" ? hatched(ink(kind), ink("hatch")) : ink(kind);
      pen.strokeStyle = ink(kind === "wait" || kind === "down" ? "edge" : "paper");
      for (let k = 0; k < last; k += 1) {
        const at = k * FIELDS, end = spans[at + 1] + spans[at + 2];
        if (spans[at] !== code || end < from) continue;
        const x = xOf(Math.max(spans[at + 1], from - (to - from)));
        const w = Math.max(0.6, xOf(Math.min(end, to + (to - from))) - x);
        pen.fillRect(x, y, w, tall);
        if (w > 4 && tall === BAR) pen.strokeRect(x + 0.5, y + 0.5, w - 1, tall - 1);
      }
    };
    for (const kind of kinds) bars(kind, top, BAR);
    bars("send", top + (BAR * 2) / 3, BAR / 3); // sending beside computing shows as a strip
    const marks = (times, draw) => {
      let before = -9;
      for (const time of times) {
        const x = xOf(time);
        if (time < from || x - before < 1) continue;
        if (time > to) break;
        draw(x);
        before = x;
      }
    };
    pen.fillStyle = ink("ink");
    marks(lane.steps, (x) => pen.fillRect(x - 0.75, top - 2, 1.5, BAR + 4));
    pen.fillStyle = ink("soft");
    marks(lane.arrivals, (x) => pen.fillRect(x - 1, top + BAR + 2, 2, 2));
    pen.strokeStyle = ink("dropped");
    pen.lineWidth = 1.5;
    marks(lane.drops, (x) => cross(x, top + BAR + 2, 2.5));
    pen.restore();
  }

  function cross(x, y, reach) {
    pen.beginPath();
    for (const side of [-1, 1]) {
      pen.moveTo(x - reach, y - side * reach);
      pen.lineTo(x + reach, y + side * reach);
    }
    pen.stroke();
  }

  function hatched(ground, line) {
    const tile = document.createElement("canvas"), brush = tile.getContext("2d");
    tile.width = tile.height = 6;
    brush.fillStyle = ground;
    brush.fillRect(0, 0, 6, 6);
    brush.strokeStyle = line;
    for (const shift of [-6, 0, 6]) { // the neighbours' lines, whose ends reach into the tile
      brush.moveTo(shift - 1, -1);
      brush.lineTo(shift + 7, 7);
    }
    brush.stroke();
    return pen.createPattern(tile, "repeat");
  }

  function tell(x, y) {
    let top = 0, text = "";
    for (const panel of scene.panels) {
      top += TITLE;
      const lane = panel.lanes[Math.floor((y - top) / LANE)];
      if (y >= top && lane) text = spanAt(panel, lane, timeAt(x));
      top += LANE * panel.lanes.length;
    }
    byId("timeline-readout").textContent = text;
  }

  function spanAt(panel, lane, time) {
    const found = [];
    for (let k = 0; k < after(lane.spans, time); k += 1) {
      const [code, start, length, step, amount] = lane.spans.slice(k * FIELDS, (k + 1) * FIELDS);
      if (time > start + length) continue;
      const kind = kinds[code], unit = { compute: "samples", send: "bits" }[kind];
      const size = unit ? `, ${amount.toLocaleString("en")} ${unit}` : "";
      const end = Number((start + length).toPrecision(7));
      found.push(`${kind}, ${start} to ${end} s, step ${step}${size}`);
    }
    const what = found.join("; ") || "nothing recorded";
    const who = lane.worker === null ? "server" : `worker ${lane.worker}`;
    return `${panel.label}, ${who}: ${what}`;
  }

  // One finger or the mouse moves, two fingers zoom about their middle.
  const fingers = new Map();
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const spread = () => {
    const xs = [...fingers.values()];
    return { middle: (xs[0] + xs[1]) / 2, gap: Math.max(8, Math.abs(xs[0] - xs[1])) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event)[0]);
    tell(...place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!fingers.has(event.pointerId)) {
      tell(x, y);
    } else if (fingers.size === 1) {
      const moved = x - fingers.get(event.pointerId);
      fingers.set(event.pointerId, x);
      pan(-moved / width());
    } else if (fingers.size === 2) {
      const old = spread(), anchor = timeAt(old.middle);
      fingers.set(event.pointerId, x);
      const now = spread(), length = (to - from) * (old.gap / now.gap);
      show(anchor - ((now.middle - GUTTER) / width()) * length, length);
    }
  });
  for (const ended of ["pointerup", "pointercancel"])
    canvas.addEventListener(ended, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey) zoom(Math.exp(event.deltaY / 300), timeAt(place(event)[0]));
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / width());
    else return; // the page scrolls
    event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    actions[keys[event.key]]();
  });
  for (const button of document.querySelectorAll("[data-do]"))
    button.addEventListener("click", () => actions[button.dataset.do]());

  const pick = byId("timeline-scene");
  scenes.forEach((each, number) => pick.add(new Option(each.name, number)));
  byId("timeline-pick").hidden = scenes.length < 2;
  pick.addEventListener("change", () => {
    scene = scenes[pick.value];
    show(0, scene.view_s || scene.end_s);
  });
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  show(from, to - from);
})();
