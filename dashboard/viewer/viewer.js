// The viewer: state, input and drawing. Nothing goes back to the server and nothing is stored; where the address names
// the study, the slice stands there, too, so that it can be sent to a colleague and survives a reload.

const HEAT_OPACITY = 0.4;
const ZOOM_LIMITS = [0.5, 12];
const PAGE = 5;
const THUMB = 220;
const ADDRESS_MS = 300;
const viewers = new WeakMap();

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function asked(name) {
  return new URLSearchParams(location.search).get(name);
}

// Text only ever enters the page as textContent: file names are the user's, and may hold anything.
function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  if (name === "button") node.type = "button";
  return node;
}

class Viewer {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.canvas = this.find(".slice");
    this.context = this.canvas.getContext("2d");
    this.table = windowTable(PRESETS[0].level, PRESETS[0].width);
    this.pointers = new Map();
    this.abort = new AbortController();
    this.buildPresets();
    this.listen();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.find(".picture"));
    this.observer.observe(this.find(".plot"));
  }

  close() {
    this.abort.abort();
    this.observer.disconnect();
  }

  load(volume) {
    this.volume = volume;
    this.sheet = sheet(volume.columns, volume.rows);
    this.heatSheets = volume.evidence.map(({ width, height }) => sheet(width, height));
    this.heat = volume.flagged && volume.evidence.length > 0;
    this.model = 0;
    this.opacity = HEAT_OPACITY;
    this.study = asked("study");
    this.index = this.study === null ? volume.start : this.askedSlice();
    this.canvas.setAttribute("aria-valuemax", volume.slices);
    this.root.querySelectorAll(".side").forEach((side) => (side.hidden = !volume.oriented));
    this.buildModels();
    this.buildChart();
    this.reset();
    this.resize();
    this.buildThumbs();
    this.fit();
    setTimeout(() => this.fit(), 400);
    if (focusIsFree()) this.canvas.focus({ preventScroll: true });
  }

  // ---- state -------------------------------------------------------------------------------------------------

  go(index) {
    this.index = clamp(index, 0, this.volume.slices - 1);
    this.update();
    this.address();
  }

  askedSlice() {
    const slice = Number(asked("slice"));
    return Number.isInteger(slice) && slice >= 1 && slice <= this.volume.slices ? slice - 1 : this.volume.start;
  }

  // Late, as browsers allow few changes of the address a second; by then another study may be open.
  address() {
    clearTimeout(this.addressing);
    this.addressing = setTimeout(() => {
      if (this.study === null || asked("study") !== this.study || !this.root.isConnected) return;
      const to = new URL(location);
      to.searchParams.set("slice", this.index + 1);
      history.replaceState(history.state, "", to);
    }, ADDRESS_MS);
  }

  setWindow(level, width) {
    this.level = clamp(Math.round(level), -1100, 3200);
    this.width = clamp(Math.round(width), 2, 6000);
    windowTable(this.level, this.width, this.table);
    this.update();
  }

  zoomBy(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const zoom = clamp(this.zoom * factor, ...ZOOM_LIMITS);
    const change = zoom / this.zoom;
    // The point under the pointer stays under it.
    this.pan.x = (x - this.canvas.width / 2) * (1 - change) + this.pan.x * change;
    this.pan.y = (y - this.canvas.height / 2) * (1 - change) + this.pan.y * change;
    this.zoom = zoom;
    this.update();
  }

  move(dx, dy) {
    const ratio = window.devicePixelRatio;
    this.pan.x += dx * ratio;
    this.pan.y += dy * ratio;
    this.update();
  }

  setHeat(on) {
    this.heat = on && this.volume.evidence.length > 0;
    this.update();
  }

  reset() {
    this.zoom = 1;
    this.pan = { x: 0, y: 0 };
    this.setWindow(PRESETS[0].level, PRESETS[0].width);
  }

  // ---- parts -------------------------------------------------------------------------------------------------

  buildPresets() {
    const buttons = PRESETS.map(({ name, level, width }, i) => {
      const button = element("button", "", name);
      button.title = `Level ${level}, width ${width} HU (key ${i + 1})`;
      button.append(element("kbd", "", String(i + 1)));
      button.addEventListener("click", () => this.setWindow(level, width));
      return button;
    });
    this.find(".presets").replaceChildren(...buttons);
  }

  buildModels() {
    const select = this.find(".model");
    select.replaceChildren(...this.volume.models.map(({ name }) => element("option", "", name)));
    select.hidden = this.volume.models.length < 2;
    this.find(".overlay").hidden = this.volume.evidence.length === 0;
    this.find(".opacity").value = 100 * this.opacity;
  }

  buildChart() {
    const { volume } = this;
    this.find(".chart").hidden = volume.models.length === 0;
    this.chart = null;
    if (volume.models.length === 0) return;
    this.chart = new Chart(this.find(".plot"), volume, {
      jump: (slice) => this.go(slice),
      hover: (slice) => (this.find(".readout").textContent = this.chart.describe(slice ?? this.index)),
    });
    const used = volume.labels.filter(({ key }) => volume.models.some(({ probability }) => probability[key]));
    const chips = used.map(({ key, name, short, colour }) => {
      const chip = element("button", "chip", short);
      chip.title = name;
      chip.style.setProperty("--colour", colour);
      chip.setAttribute("aria-pressed", this.chart.shown.has(key));
      chip.addEventListener("click", () => {
        this.chart.toggle(key);
        chip.setAttribute("aria-pressed", this.chart.shown.has(key));
        this.update();
      });
      return chip;
    });
    const models = volume.models.map(({ name }, order) => element("span", order ? "dashed" : "solid", name));
    this.find(".lines").replaceChildren(...chips, ...(models.length > 1 ? models : []));
  }

  buildThumbs() {
    const { volume } = this;
    this.find(".thumbs").hidden = volume.top.length === 0;
    if (volume.top.length === 0) return;
    const many = volume.top.length > 1 ? `${volume.top.length} highest slices` : "Highest slice";
    this.find(".thumbs h4").textContent = many;
    const table = windowTable(PRESETS[0].level, PRESETS[0].width);
    const buttons = volume.top.map((index) => this.thumb(index, table));
    this.find(".strip").replaceChildren(...buttons);
    this.mark();
  }

  thumb(index, table) {
    const { volume, sheet: full } = this;
    const value = volume.models[0].probability.any[index];
    const button = element("button", "thumb");
    const small = element("canvas");
    const [left, top, width, height] = headBox(volume);
    const scale = THUMB / Math.max(width, height * pixelAspect(volume));
    small.width = Math.max(Math.round(width * scale), 1);
    small.height = Math.max(Math.round(height * scale * pixelAspect(volume)), 1);
    paintSlice(full, volume, index, table);
    small.getContext("2d").drawImage(full.canvas, left, top, width, height, 0, 0, small.width, small.height);
    button.dataset.slice = index;
    button.title = `${volume.models[0].name}: probability of any haemorrhage ${written(value)}`;
    // The name is what is seen, with what a listener needs around it; the title describes it.
    const said = [element("b", "heard", "Go to slice "), element("b", "heard", ", probability ")];
    button.append(small, said[0], element("span", "", `${index + 1}`), said[1], element("em", "", written(value, 2)));
    button.addEventListener("click", () => this.go(index));
    return button;
  }

  // ---- input -------------------------------------------------------------------------------------------------

  listen() {
    const { signal } = this.abort;
    const on = (target, type, handler, options = {}) =>
      target.addEventListener(type, (event) => this.volume && handler(event), { signal, ...options });
    on(window, "resize", () => this.fit());
    on(this.root, "keydown", (event) => this.key(event));
    on(this.canvas, "wheel", (event) => this.wheel(event), { passive: false });
    on(this.canvas, "contextmenu", (event) => event.preventDefault());
    on(this.canvas, "pointerdown", (event) => this.press(event));
    on(this.canvas, "pointermove", (event) => this.drag(event));
    for (const type of ["pointerup", "pointercancel"]) on(this.canvas, type, (event) => this.pointers.delete(event.pointerId));
    on(this.canvas, "pointerleave", () => (this.find(".cursor").textContent = ""));
    on(this.find(".heat"), "change", (event) => this.setHeat(event.target.checked));
    on(this.find(".opacity"), "input", (event) => {
      this.opacity = event.target.value / 100;
      this.setHeat(true);
    });
    on(this.find(".model"), "change", (event) => {
      this.model = event.target.selectedIndex;
      this.setHeat(true);
    });
    on(this.find(".reset"), "click", () => this.reset());
    on(this.find(".full"), "click", () => this.toggleFull());
    on(this.find(".help"), "click", () => this.toggleHelp());
    on(this.find(".save"), "click", () => this.chart.save());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = this.actions()[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const own = event.target.matches("select, input[type=range]") && /^(Arrow|Page|Home|End)/.test(event.key);
    if (!action || own) return;
    action();
    event.preventDefault();
    // Streamlit has keys of its own: R runs the page again.
    event.stopPropagation();
  }

  actions() {
    const step = (n) => () => this.go(this.index + n);
    const presets = PRESETS.map(({ level, width }, i) => [String(i + 1), () => this.setWindow(level, width)]);
    return {
      ArrowDown: step(1), ArrowRight: step(1), ArrowUp: step(-1), ArrowLeft: step(-1),
      PageDown: step(PAGE), PageUp: step(-PAGE),
      Home: () => this.go(0), End: () => this.go(this.volume.slices - 1),
      h: () => this.setHeat(!this.heat), r: () => this.reset(), f: () => this.toggleFull(), "?": () => this.toggleHelp(),
      "+": () => this.zoomBy(1.25), "=": () => this.zoomBy(1.25), "-": () => this.zoomBy(0.8),
      ...Object.fromEntries(presets),
    };
  }

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 40 : 1);
    if (event.ctrlKey) {
      const [x, y] = this.local(event);
      this.zoomBy(Math.exp(-clamp(pixels, -200, 200) / 400), x, y);
      return;
    }
    // A mouse wheel sends one large step a notch, a touchpad many small ones.
    this.rolled = Math.abs(pixels) >= 50 ? Math.sign(pixels) * 50 : (this.rolled ?? 0) + pixels;
    if (Math.abs(this.rolled) >= 50) {
      this.go(this.index + Math.sign(this.rolled));
      this.rolled = 0;
    }
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.swiped = 0;
  }

  drag(event) {
    this.showCursor(event);
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    if (this.pointers.size > 1) this.pinch(event, last);
    else if (event.pointerType === "touch") this.swipe(dy);
    else if (event.buttons & 2 || event.shiftKey) this.move(dx, dy);
    else if (event.buttons & 1) {
      // Coarser for wide windows, so that bone needs no longer a drag than brain.
      const speed = clamp(this.width / 160, 0.5, 8);
      this.setWindow(this.level + dy * speed, this.width + dx * speed);
    }
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  pinch(event, last) {
    const [, other] = [...this.pointers].find(([id]) => id !== event.pointerId);
    const before = Math.hypot(last.x - other.x, last.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    this.move((event.clientX - last.x) / 2, (event.clientY - last.y) / 2);
    if (before > 0) this.zoomBy(after / before, ...this.local(event));
  }

  swipe(dy) {
    const pixels = clamp(this.canvas.clientHeight / this.volume.slices, 6, 24);
    this.swiped += dy;
    const steps = Math.trunc(this.swiped / pixels);
    this.swiped -= steps * pixels;
    if (steps) this.go(this.index + steps);
  }

  local(event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  }

  toggleHelp() {
    const keys = this.find(".keys");
    keys.hidden = !keys.hidden;
    this.find(".help").setAttribute("aria-expanded", !keys.hidden);
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }

  // ---- drawing -----------------------------------------------------------------------------------------------

  update() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  // The viewer ends where the window ends, however much stands above it on the page.
  fit() {
    const scrolled = document.querySelector(".stMain")?.scrollTop ?? 0;
    const top = this.root.getBoundingClientRect().top + scrolled;
    if (!document.fullscreenElement) this.root.style.setProperty("--above", `${Math.round(top) + 18}px`);
  }

  resize() {
    if (!this.volume) return;
    const { clientWidth, clientHeight } = this.find(".picture");
    const ratio = window.devicePixelRatio;
    this.canvas.width = Math.max(Math.round(clientWidth * ratio), 1);
    this.canvas.height = Math.max(Math.round(clientHeight * ratio), 1);
    this.chart?.draw();
    this.update();
  }

  place() {
    const { width, height } = this.canvas;
    const scale = fitted(this.volume, width, height);
    const [w, h] = [this.volume.columns * scale.x * this.zoom, this.volume.rows * scale.y * this.zoom];
    return { x: (width - w) / 2 + this.pan.x, y: (height - h) / 2 + this.pan.y, w, h };
  }

  draw() {
    const started = performance.now();
    const { context, volume } = this;
    const at = this.place();
    paintSlice(this.sheet, volume, this.index, this.table);
    context.fillStyle = "black";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.sheet.canvas, at.x, at.y, at.w, at.h);
    if (this.heat) this.drawHeat(at);
    this.root.dataset.slice = this.index + 1;
    this.root.dataset.drawMs = (performance.now() - started).toFixed(2);
    this.write();
    this.mark();
  }

  drawHeat(at) {
    const { context, volume } = this;
    const target = this.heatSheets[this.model];
    const [left, top, width, height] = headBox(volume);
    const [sx, sy] = [at.w / volume.columns, at.h / volume.rows];
    paintEvidence(target, volume.evidence[this.model], this.index);
    context.save();
    context.beginPath();
    context.rect(at.x, at.y, at.w, at.h);
    context.clip();
    context.globalAlpha = this.opacity;
    context.drawImage(target.canvas, at.x + left * sx, at.y + top * sy, width * sx, height * sy);
    context.restore();
  }

  write() {
    const { volume, index } = this;
    const position = volume.positions[index];
    const place = `${index + 1}/${volume.slices}`;
    const score = volume.models.map(({ name, probability }) => `${name} any ${written(probability.any[index])}`);
    const set = (selector, text) => (this.find(selector).textContent = text);
    set(".place", position === null ? place : `${place}   ${position.toFixed(1)} mm`);
    set(".file", volume.files[index]);
    set(".score", score.join("\n"));
    set(".window", `L ${this.level}  W ${this.width} HU`);
    set(".zoom", `${Math.round(100 * this.zoom)} %${volume.step > 1 ? `, shown at 1/${volume.step} resolution` : ""}`);
    this.find(".notice").hidden = !this.heat;
    this.find(".heat").checked = this.heat;
    this.canvas.setAttribute("aria-valuenow", index + 1);
    this.canvas.setAttribute("aria-valuetext", `Slice ${place}, ${score.join(", ")}`);
    if (this.chart) set(".readout", this.chart.describe(index));
  }

  mark() {
    this.chart?.mark(this.index);
    PRESETS.forEach(({ level, width }, i) => {
      const on = level === this.level && width === this.width;
      this.find(".presets").children[i].setAttribute("aria-pressed", on);
    });
    for (const thumb of this.find(".strip").children) {
      thumb.setAttribute("aria-current", Number(thumb.dataset.slice) === this.index);
    }
  }

  showCursor(event) {
    const { volume } = this;
    const at = this.place();
    const [x, y] = this.local(event);
    const column = Math.floor(((x - at.x) / at.w) * volume.columns);
    const row = Math.floor(((y - at.y) / at.h) * volume.rows);
    const inside = column >= 0 && row >= 0 && column < volume.columns && row < volume.rows;
    this.find(".cursor").textContent = inside ? this.describePixel(column, row) : "";
  }

  describePixel(column, row) {
    const { volume } = this;
    const value = volume.voxels[(this.index * volume.rows + row) * volume.columns + column];
    // A picture has no HU, only the grey that was read as a brain window of 0 to 80.
    const what = volume.kind === "ct" ? `${value} HU` : `grey ${Math.round(value / 0.8)} %`;
    const pixel = `x ${column * volume.step}, y ${row * volume.step}`;
    if (!volume.spacing) return `${what}\n${pixel}`;
    const [down, across] = volume.spacing;
    return `${what}\n${pixel} (${(column * across).toFixed(1)}, ${(row * down).toFixed(1)} mm)`;
  }
}

// Streamlit calls this at every run of the page and at every change of theme; only new data is loaded.
export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".viewer");
  const message = root.querySelector(".message");
  let viewer = viewers.get(root);
  if (!viewer) viewers.set(root, (viewer = new Viewer(root)));
  try {
    const volume = unpack(data);
    if (viewer.volume?.id !== volume.id) viewer.load(volume);
    message.hidden = true;
  } catch (error) {
    message.textContent = `The viewer could not show this series (${error.message}). The result beside it stands.`;
    message.hidden = false;
  }
  // A late clean-up of an earlier call must not close the viewer that a newer call shows.
  return () => root.isConnected || viewer.close();
}
