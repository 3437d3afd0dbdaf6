"use strict";
// A table that is wider than the screen can be scrolled by keys too.
(() => {
  const tables = document.querySelectorAll(".wide");
  function arrange() {
    for (const table of tables) {
      if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
      else table.removeAttribute("tabindex");
    }
  }
  const observer = new ResizeObserver(arrange);
  for (const table of tables) observer.observe(table);
})();

// The waveform viewer: every path on one time axis, smallest and largest sample of each pixel
// column, negative up. It draws what the page carries and asks for nothing.
(async () => {
  const source = document.getElementById("waves"), viewer = document.getElementById("viewer");
  if (!source || !viewer || typeof DecompressionStream === "undefined") return;
  const data = JSON.parse(source.textContent);
  if (!data.traces.length) return;

  const SWEEPS_MS = [10, 50, 100, 1000], GAINS_UV = [20, 50, 100, 200, 500, 1000];
  const DIVISIONS = 10, UP = 4, DOWN = 2, DIV_PX = 28, LEFT = 92, RIGHT = 16, OVERVIEW = 44, LOST = -32768;
  const BLOCK = 64, NONE = 32767;  // samples of a block; above and below all samples that came
  const LEAST_SOUND_HZ = 8000, MOST_SOUND_HZ = 192000;  // rates of a buffer that browsers take
  const INK = "#1b2530", GRID = "#e3e8ec", AXIS = "#8a949e", SOFT = "#55606b";
  const TALL = (UP + DOWN) * DIV_PX;  // of a trace: EMG is drawn negative up, so most of it is above
  const canvas = viewer.querySelector("canvas"), pen = canvas.getContext("2d");
  const readout = viewer.querySelector(".values"), where = viewer.querySelector(".where"), buttons = [];

  async function samplesOf(trace) {
    const text = atob(trace.data), packed = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    const samples = new Int16Array(trace.n);
    for (let i = 0, sum = 0; i < trace.n; i++) {
      sum = ((sum + (bytes[i] | (bytes[i + trace.n] << 8))) << 16) >> 16;
      samples[i] = sum;
    }
    return samples;
  }
  function lostRuns(samples) {  // [first lost, first that came again)
    const runs = [];
    for (let i = 0; i < samples.length; i++) {
      if (samples[i] !== LOST) continue;
      const first = i;
      while (i < samples.length && samples[i] === LOST) i++;
      runs.push([first, i]);
    }
    return runs;
  }
  // Smallest and largest sample of each block, so that a whole record is drawn as fast as a second.
  function blocksOf(samples) {
    const n = Math.ceil(samples.length / BLOCK), low = new Int16Array(n), high = new Int16Array(n);
    for (let k = 0; k < n; k++) [low[k], high[k]] = extremes(samples, k * BLOCK, Math.min(samples.length, (k + 1) * BLOCK));
    return { low, high };
  }
  function extremes(samples, a, b) {  // NONE, -NONE of samples that are all lost
    let lo = NONE, hi = -NONE;
    for (let i = a; i < b; i++) {
      const v = samples[i];
      if (v === LOST) continue;
      if (v < lo) lo = v;
      if (v > hi) hi = v;
    }
    return [lo, hi];
  }
  for (const trace of data.traces) {
    trace.samples = await samplesOf(trace);
    trace.blocks = blocksOf(trace.samples);
    trace.lost = lostRuns(trace.samples);
  }

  const end = (t) => t.start_s + t.n / t.rate_hz;
  const first = Math.min(...data.traces.map((t) => t.start_s));
  const last = Math.max(...data.traces.map(end)), total = last - first;
  const effort = data.events.find((e) => e.kind === "contraction");
  const state = { start: 0, span: 1, gain: 200, cursor: null };
  const rows = (lanes) => lanes.length * laneHeight();
  const laneHeight = () => (data.lanes.length > 6 ? 8 : 12);

  // ---- where things are: a list of panels from top to bottom -----------------------------------
  let width = 0, panels = [], height = 0;
  function arrange() {
    width = viewer.clientWidth;
    let y = OVERVIEW + 34;
    panels = data.traces.map((trace, i) => {
      const panel = { trace, top: y };
      panel.above = i === 0 ? data.lanes : [];
      panel.wave = y + 28 + rows(panel.above);
      panel.middle = panel.wave + UP * DIV_PX;
      panel.below = panel.wave + TALL + 8;
      y = panel.below + rows(trace.lanes) + 14;
      return panel;
    });
    height = y + 30;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = height + "px";
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    paint();  // at once: a canvas that was resized is empty
  }
  const plot = () => width - LEFT - RIGHT;
  const xOf = (t) => LEFT + ((t - state.start) / state.span) * plot();
  const timeAt = (x) => state.start + ((x - LEFT) / plot()) * state.span;

  // ---- drawing ---------------------------------------------------------------------------------
  function text(words, x, y, { align = "left", colour = INK, bold = false, size = 11 } = {}) {
    pen.font = `${bold ? "600 " : ""}${size}px system-ui, sans-serif`;
    pen.textAlign = align;
    pen.fillStyle = colour;
    pen.fillText(words, x, y);
  }
  function line(x0, y0, x1, y1, colour, thick = 1) {
    pen.strokeStyle = colour;
    pen.lineWidth = thick;
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
  }
  function step() {
    const wanted = state.span / DIVISIONS;
    const sweep = SWEEPS_MS.find((ms) => Math.abs(ms / 1000 / wanted - 1) < 1e-6);
    if (sweep) return sweep / 1000;
    const power = 10 ** Math.floor(Math.log10(wanted));
    return [1, 2, 5, 10].map((k) => k * power).find((s) => s >= wanted * 0.999);
  }
  function extremesWithin({ samples, blocks }, a, b) {
    const from = Math.ceil(a / BLOCK), to = Math.floor(b / BLOCK);
    if (to <= from) return extremes(samples, a, b);
    let [lo, hi] = extremes(samples, a, from * BLOCK);
    for (let k = from; k < to; k++) {
      if (blocks.low[k] < lo) lo = blocks.low[k];
      if (blocks.high[k] > hi) hi = blocks.high[k];
    }
    const [l, h] = extremes(samples, to * BLOCK, b);
    return [Math.min(lo, l), Math.max(hi, h)];
  }
  // The columns of a trace: for each pixel its smallest and largest sample, null where none came.
  function columns(trace, from, span, n) {
    const low = new Array(n).fill(null), high = new Array(n).fill(null);
    const rate = trace.rate_hz, s = trace.samples;
    for (let c = 0; c < n; c++) {
      const a = Math.max(0, Math.ceil((from + (c / n) * span - trace.start_s) * rate));
      const b = Math.min(s.length, Math.ceil((from + ((c + 1) / n) * span - trace.start_s) * rate));
      const [lo, hi] = extremesWithin(trace, a, b);
      if (lo <= hi) { low[c] = lo * trace.step_uv; high[c] = hi * trace.step_uv; }
    }
    return { low, high };
  }
  function drawWave(trace, middle, pxPerUv) {
    const perColumn = (trace.rate_hz * state.span) / plot();
    const y = (uv) => middle + uv * pxPerUv, beyond = [];  // negative up
    pen.strokeStyle = pen.fillStyle = INK;
    pen.lineWidth = 1;
    pen.beginPath();
    if (perColumn > 2) {
      const { low, high } = columns(trace, state.start, state.span, Math.floor(plot()));
      let lowBefore = null, highBefore = null;
      for (let c = 0; c < low.length; c++) {
        if (low[c] !== null) {  // columns touch, so that a steep flank has no holes
          const lo = lowBefore === null ? low[c] : Math.min(low[c], highBefore);
          const hi = highBefore === null ? high[c] : Math.max(high[c], lowBefore);
          pen.moveTo(LEFT + c + 0.5, y(lo) - 0.4);
          pen.lineTo(LEFT + c + 0.5, y(hi) + 0.4);
          if (y(lo) < middle - UP * DIV_PX) beyond.push([c, middle - UP * DIV_PX]);
          if (y(hi) > middle + DOWN * DIV_PX) beyond.push([c, middle + DOWN * DIV_PX - 4]);
        }
        lowBefore = low[c];
        highBefore = high[c];
      }
    } else {
      const a = Math.max(0, Math.floor((state.start - trace.start_s) * trace.rate_hz) - 1);
      const b = Math.min(trace.n, Math.ceil((state.start + state.span - trace.start_s) * trace.rate_hz) + 2);
      let isDown = false;
      for (let i = a; i < b; i++) {
        const v = trace.samples[i];
        if (v === LOST) { isDown = false; continue; }
        const x = xOf(trace.start_s + i / trace.rate_hz), py = y(v * trace.step_uv);
        if (isDown) pen.lineTo(x, py); else pen.moveTo(x, py);
        if (perColumn < 1 / 6) pen.fillRect(x - 1.5, py - 1.5, 3, 3);
        isDown = true;
      }
    }
    pen.stroke();
    pen.fillStyle = "#d00000";
    for (const [c, top] of beyond) pen.fillRect(LEFT + c - 1, top, 3, 4);
  }
  function drawLost({ trace, wave }) {
    pen.fillStyle = "#f6d9d5";
    for (const [a, b] of trace.lost) {
      const x = Math.max(LEFT, xOf(trace.start_s + a / trace.rate_hz));
      const w = Math.min(width - RIGHT, xOf(trace.start_s + b / trace.rate_hz)) - x;
      if (w >= 0) pen.fillRect(x, wave, Math.max(w, 1), TALL);
    }
  }
  function within(times, from, to) {  // [first, behind the last) by bisection
    const edge = (t) => {
      let a = 0, b = times.length;
      while (a < b) { const m = (a + b) >> 1; if (times[m] < t) a = m + 1; else b = m; }
      return a;
    };
    return [edge(from), edge(to)];
  }
  function drawLanes(lanes, top) {
    const tall = laneHeight();
    lanes.forEach((lane, i) => {
      const y = top + i * tall;
      text(lane.label, LEFT - 8, y + tall - 2, { align: "right", colour: lane.colour, size: tall - 1.5 });
      const [a, b] = within(lane.times_s, state.start, state.start + state.span);
      pen.strokeStyle = lane.colour;
      pen.lineWidth = 1.6;
      pen.beginPath();
      for (let k = a; k < b; k++) {
        const x = xOf(lane.times_s[k]);
        pen.moveTo(x, y + 1.5);
        pen.lineTo(x, y + tall - 1.5);
      }
      pen.stroke();
    });
  }
  function drawPanel(panel, gridStep) {
    const { trace, wave, middle } = panel, bottom = wave + TALL;
    text(trace.path, LEFT, panel.top + 12, { bold: true, size: 13 });
    const note = trace.block > 1 ? `, smallest and largest of each ${trace.block} samples` : "";
    const beside = LEFT + pen.measureText(trace.path).width + 12;
    text(trace.channel + note, beside, panel.top + 12, { colour: SOFT });
    drawLanes(panel.above, wave - 8 - rows(panel.above));
    drawLanes(trace.lanes, panel.below);
    drawLost(panel);
    for (let d = -UP; d <= DOWN; d++) {
      const y = middle + d * DIV_PX;
      line(LEFT, y, width - RIGHT, y, d === 0 ? "#c3cbd2" : GRID);
      if (d % 2 === 0) {
        const uv = d * state.gain;
        text(uv > 0 ? `+${uv}` : `${uv}`.replace("-", "−"), LEFT - 8, y + 4, { align: "right" });
      }
    }
    for (let t = Math.ceil(state.start / gridStep - 1e-6) * gridStep; t <= state.start + state.span + 1e-9; t += gridStep) {
      line(xOf(t), wave, xOf(t), bottom, GRID);
    }
    pen.save();
    pen.translate(14, (wave + bottom) / 2);
    pen.rotate(-Math.PI / 2);
    text("µV, negative up", 0, 0, { align: "center", colour: SOFT });
    pen.restore();
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, wave, plot(), TALL);
    pen.clip();
    drawWave(trace, middle, DIV_PX / state.gain);
    pen.restore();
  }
  function drawTimeAxis(gridStep) {
    const y = height - 30, digits = Math.max(0, Math.ceil(-Math.log10(gridStep) - 1e-9));
    for (let t = Math.ceil(state.start / gridStep - 1e-6) * gridStep; t <= state.start + state.span + 1e-9; t += gridStep) {
      text(Math.abs(t).toFixed(digits), xOf(t), y + 2, { align: "center" });
    }
    const perDiv = gridStep < 0.9995 ? `${+(gridStep * 1000).toPrecision(4)} ms` : `${+gridStep.toPrecision(4)} s`;
    const words = `time on the scenario's clock (s)  ·  ${perDiv}/div  ·  ${state.gain} µV/div`;
    text(words, LEFT + plot() / 2, y + 20, { align: "center", colour: SOFT });
  }
  const overX = (t) => LEFT + ((t - first) / total) * plot();
  function drawOverview() {
    const trace = data.traces[0], n = Math.floor(plot()), middle = OVERVIEW / 2 + 2;
    if (!trace.overview || trace.overview.low.length !== n) trace.overview = columns(trace, first, total, n);
    const { low, high } = trace.overview;
    const most = Math.max(1, ...high.map((v, i) => Math.max(v ?? 0, -(low[i] ?? 0))));
    pen.strokeStyle = "#b4bec7";
    pen.beginPath();
    for (let c = 0; c < n; c++) {
      if (low[c] === null) continue;
      pen.moveTo(LEFT + c + 0.5, middle + (low[c] / most) * (OVERVIEW / 2 - 2) - 0.4);
      pen.lineTo(LEFT + c + 0.5, middle + (high[c] / most) * (OVERVIEW / 2 - 2) + 0.4);
    }
    pen.stroke();
    text("whole record", LEFT - 8, middle - 3, { align: "right", colour: SOFT });
    text(`${+total.toPrecision(4)} s`, LEFT - 8, middle + 11, { align: "right", colour: SOFT });
    if (data.effort) {
      const top = Math.max(...data.effort.mvc, 1e-9);
      pen.strokeStyle = "#c24e00";
      pen.lineWidth = 1.2;
      pen.beginPath();
      data.effort.times_s.forEach((t, i) =>
        pen.lineTo(overX(t), OVERVIEW + 1 - (data.effort.mvc[i] / top) * (OVERVIEW - 6)));
      pen.stroke();
      text(`effort, up to ${+(100 * top).toPrecision(2)} % MVC`, width - RIGHT, OVERVIEW + 16,
        { align: "right", colour: "#a84300" });
    }
    pen.fillStyle = "rgba(0, 114, 178, 0.16)";
    const x = overX(state.start), w = Math.max(3, overX(state.start + state.span) - x);
    pen.fillRect(x, 1, w, OVERVIEW + 1);
    pen.strokeStyle = "#0072b2";
    pen.strokeRect(x, 1, w, OVERVIEW + 1);
  }
  function drawCursor() {
    if (state.cursor === null) { readout.textContent = ""; return; }
    const t = timeAt(state.cursor), parts = [`${t.toFixed(5)} s`];
    line(state.cursor, OVERVIEW + 20, state.cursor, height - 40, "#0072b2");
    for (const trace of data.traces) {
      const i = Math.round((t - trace.start_s) * trace.rate_hz), v = trace.samples[i];
      const uv = v === undefined ? "–" : v === LOST ? "lost" : `${Math.round(v * trace.step_uv)} µV`;
      parts.push(`${trace.path} ${uv.replace("-", "−")}`);
    }
    readout.textContent = parts.join("  ·  ");
  }
  function paint() {
    pen.clearRect(0, 0, width, height);
    const gridStep = step();
    drawOverview();
    panels.forEach((panel) => drawPanel(panel, gridStep));
    drawTimeAxis(gridStep);
    drawCursor();
    for (const { button, isOn } of buttons) button.setAttribute("aria-pressed", String(isOn()));
  }
  // What is on the screen, in words: once the reader has stopped moving, lest every step be read out.
  let telling = 0;
  function tell(words = "") {
    clearTimeout(telling);
    telling = setTimeout(() => {
      const to = state.start + state.span, digits = Math.max(2, 2 - Math.floor(Math.log10(state.span)));
      const seen = `${state.start.toFixed(digits)} to ${to.toFixed(digits)} s, ${state.gain} µV/div`;
      where.textContent = words || `Shown: ${seen.replaceAll("-", "−")}`;
    }, 250);
  }
  let isAsked = false;
  function draw() {  // however often it is asked for, once per frame
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => { isAsked = false; paint(); });
  }

  // ---- moving ----------------------------------------------------------------------------------
  function show(start, span) {
    const fastest = Math.max(...data.traces.map((t) => t.rate_hz));
    state.span = Math.min(Math.max(span, 10 / fastest), Math.max(total, 1e-6));
    state.start = Math.min(Math.max(start, first), last - state.span);
    draw();
    tell();
  }
  function zoom(factor, x = LEFT + plot() / 2) {
    const t = timeAt(x), span = Math.min(state.span * factor, total);
    show(t - ((x - LEFT) / plot()) * span, span);
  }
  function sweep(ms) {
    const middle = state.start + state.span / 2, span = (DIVISIONS * ms) / 1000;
    show(span > state.span ? middle - span / 2 : state.start, span);
  }
  function gain(direction) {
    const at = GAINS_UV.indexOf(state.gain) + direction;
    state.gain = GAINS_UV[Math.min(Math.max(at, 0), GAINS_UV.length - 1)];
    draw();
    tell();
  }
  function point(direction) {  // the cursor by keyboard: a pixel or a sample, whichever is more
    const fastest = Math.max(...data.traces.map((t) => t.rate_hz));
    const pixels = Math.max(1, plot() / (fastest * state.span));
    const at = (state.cursor ?? LEFT + plot() / 2) + direction * pixels;
    state.cursor = Math.min(Math.max(at, LEFT), width - RIGHT);
    paint();
    tell(readout.textContent);
  }
  const KEYS = {
    ArrowLeft: () => show(state.start - state.span / DIVISIONS, state.span),
    ArrowRight: () => show(state.start + state.span / DIVISIONS, state.span),
    PageUp: () => show(state.start - state.span, state.span),
    PageDown: () => show(state.start + state.span, state.span),
    Home: () => show(first, state.span),
    End: () => show(last, state.span),
    "+": () => zoom(0.5),
    "-": () => zoom(2),
    0: () => show(first, total),
    ArrowUp: () => gain(-1),
    ArrowDown: () => gain(1),
  };
  canvas.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const act = event.shiftKey && turn ? () => point(turn) : KEYS[event.key === "=" ? "+" : event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  // The wheel belongs to the page until the reader has clicked into the picture.
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) show(state.start + (event.deltaX / plot()) * state.span, state.span);
    else zoom(event.deltaY > 0 ? 1.25 : 0.8, event.offsetX);
  }, { passive: false });
  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    grip = { x: event.offsetX, start: state.start, isOverview: event.offsetY < OVERVIEW + 4 };
    if (grip.isOverview) jump(event.offsetX);
  });
  canvas.addEventListener("pointermove", (event) => {
    state.cursor = event.offsetX >= LEFT && event.offsetX <= width - RIGHT ? event.offsetX : null;
    if (grip && grip.isOverview) jump(event.offsetX);
    else if (grip) show(grip.start - ((event.offsetX - grip.x) / plot()) * state.span, state.span);
    else draw();
  });
  const jump = (x) => show(first + ((x - LEFT) / plot()) * total - state.span / 2, state.span);
  const release = () => { grip = null; };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => { state.cursor = null; draw(); });

  // ---- sound: what is on the screen, as loud as it is tall ---------------------------------------
  // Of a trace that holds the smallest and largest value of each block, their middle is heard.
  const each = (t) => (t.block > 1 ? 2 : 1), soundRate = (t) => t.rate_hz / each(t);
  let playing = null, context = null;
  function heardOf(trace) {
    const rate = soundRate(trace), count = Math.floor(trace.n / each(trace)), full = UP * state.gain;
    const a = Math.max(0, Math.round((state.start - trace.start_s) * rate));
    const b = Math.min(count, Math.round((state.start + state.span - trace.start_s) * rate));
    const heard = new Float32Array(Math.max(0, b - a)), s = trace.samples;
    for (let i = a; i < b; i++) {
      const v = each(trace) === 1 ? s[i] : s[2 * i] === LOST ? LOST : (s[2 * i] + s[2 * i + 1]) / 2;
      heard[i - a] = v === LOST ? 0 : Math.max(-1, Math.min(1, (v * trace.step_uv) / full));
    }
    return heard;
  }
  function listen(trace) {
    if (playing) { playing.source.stop(); return; }
    const heard = heardOf(trace);
    if (!heard.length) return;
    context ??= new AudioContext();
    const buffer = context.createBuffer(1, heard.length, soundRate(trace));
    buffer.copyToChannel(heard, 0);
    playing = { trace, source: context.createBufferSource() };
    playing.source.buffer = buffer;
    playing.source.connect(context.destination);
    playing.source.onended = () => { playing = null; context.suspend(); draw(); };
    context.resume();
    playing.source.start();
    draw();
  }

  // ---- controls --------------------------------------------------------------------------------
  function group(label, items) {
    const set = document.createElement("span");
    set.className = "group";
    set.setAttribute("role", "group");
    set.setAttribute("aria-label", label);
    set.append(label + " ");
    for (const [words, act, isOn] of items) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = words;
      button.addEventListener("click", act);
      if (isOn) buttons.push({ button, isOn });
      set.append(button);
    }
    viewer.querySelector(".controls").append(set);
  }
  const isNear = (a, b) => Math.abs(a / b - 1) < 1e-6;
  const whole = ["whole", () => show(first, total), () => isNear(state.span, total)];
  group("Sweep (ms/div)", [...SWEEPS_MS.map((ms) =>
    [`${ms}`, () => sweep(ms), () => isNear(state.span, Math.min((DIVISIONS * ms) / 1000, total))]), whole]);
  group("Gain (µV/div)", GAINS_UV.map((uv) =>
    [`${uv}`, () => { state.gain = uv; draw(); tell(); }, () => state.gain === uv]));
  const audible = data.traces.filter((t) => soundRate(t) >= LEAST_SOUND_HZ && soundRate(t) <= MOST_SOUND_HZ);
  if (audible.length && typeof AudioContext !== "undefined") {
    group("Listen", audible.map((t) =>
      [t.path, () => listen(t), () => playing !== null && playing.trace === t]));
  }

  // The gain at which all but one sample in a thousand stands on the screen.
  let most = 0;
  for (const t of data.traces) {
    const some = t.samples.filter((v, i) => i % 8 === 0 && v !== LOST).sort();
    if (!some.length) continue;
    const edge = Math.floor(some.length / 1000);
    const up = -some[edge] / UP, down = some[some.length - 1 - edge] / DOWN;
    most = Math.max(most, up * t.step_uv, down * t.step_uv);
  }
  state.gain = GAINS_UV.find((uv) => most <= uv) ?? GAINS_UV.at(-1);
  viewer.classList.add("live");
  width = viewer.clientWidth;
  show(effort ? effort.onset_s + Math.min(0.5, (effort.offset_s - effort.onset_s) / 2) : first, 1);
  arrange();
  new ResizeObserver(() => { if (viewer.clientWidth !== width) arrange(); }).observe(viewer);
})();
