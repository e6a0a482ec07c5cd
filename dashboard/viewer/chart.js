// The chart of probability along the slices, as SVG: sharp at any size, readable by a screen reader, easy to save.

const SVG = "http://www.w3.org/2000/svg";
const EDGE = { left: 46, right: 10, top: 8, bottom: 34 };

function svg(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// Never rounded to an impossibility or a certainty, as everywhere on the pages.
function written(probability, digits = 3) {
  const least = 10 ** -digits;
  if (probability < least) return `<${least.toFixed(digits)}`;
  return probability > 1 - least ? `>${(1 - least).toFixed(digits)}` : probability.toFixed(digits);
}

class Chart {
  constructor(place, volume, { jump, hover }) {
    Object.assign(this, { place, volume, hover, shown: new Set(["any"]), at: 0 });
    this.root = svg("svg", { role: "img", "aria-label": "Probability along the slices" });
    place.replaceChildren(this.root);
    const slice = (event) => this.sliceAt(event.clientX - this.root.getBoundingClientRect().left);
    this.root.addEventListener("pointerdown", (event) => {
      this.root.setPointerCapture(event.pointerId);
      jump(slice(event));
    });
    this.root.addEventListener("pointermove", (event) => (event.buttons & 1 ? jump : hover)(slice(event)));
    this.root.addEventListener("pointerleave", () => hover(null));
    this.draw();
  }

  x(slice) {
    const steps = Math.max(this.volume.slices - 1, 1);
    const share = this.volume.slices === 1 ? 0.5 : slice / steps;
    return EDGE.left + share * (this.width - EDGE.left - EDGE.right);
  }

  y(probability) {
    return EDGE.top + (1 - probability) * (this.height - EDGE.top - EDGE.bottom);
  }

  sliceAt(x) {
    const share = (x - EDGE.left) / Math.max(this.width - EDGE.left - EDGE.right, 1);
    return Math.min(Math.max(Math.round(share * (this.volume.slices - 1)), 0), this.volume.slices - 1);
  }

  toggle(label) {
    if (!this.shown.delete(label)) this.shown.add(label);
    this.draw();
  }

  draw() {
    this.width = Math.max(this.place.clientWidth, 200);
    this.height = Math.max(this.place.clientHeight, 80);
    this.root.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.marker = svg("line", { class: "marker", y1: this.y(1), y2: this.y(0) });
    this.root.replaceChildren(...this.axes(), ...this.lines(), this.marker);
    this.mark(this.at);
  }

  axes() {
    const parts = [0, 0.5, 1].flatMap((value) => [
      svg("line", { class: "grid", x1: this.x(0), x2: this.width - EDGE.right, y1: this.y(value), y2: this.y(value) }),
      svg("text", { x: EDGE.left - 6, y: this.y(value) + 4, "text-anchor": "end" }, String(value)),
    ]);
    if (this.volume.slices === 1) parts.forEach((part) => part.setAttribute("x1", EDGE.left));
    const every = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((n) => this.volume.slices / n <= this.width / 45) ?? 1000;
    for (let i = 0; i < this.volume.slices; i++) {
      // The first label is 1, so one that follows too closely is left out.
      if (i === 0 || ((i + 1) % every === 0 && i >= 0.75 * every)) {
        parts.push(svg("text", { x: this.x(i), y: this.y(0) + 15, "text-anchor": "middle" }, String(i + 1)));
      }
    }
    const direction = this.volume.oriented ? "Slice number, foot to head" : "Slice number";
    const middle = (this.y(0) + this.y(1)) / 2;
    parts.push(
      svg("text", { x: (EDGE.left + this.width) / 2, y: this.height - 4, "text-anchor": "middle" }, direction),
      svg("text", { transform: `translate(11 ${middle}) rotate(-90)`, "text-anchor": "middle" }, "Probability"),
    );
    return parts;
  }

  lines() {
    return this.volume.models.flatMap(({ probability }, order) =>
      this.volume.labels
        .filter(({ key }) => this.shown.has(key) && probability[key])
        .flatMap(({ key, colour }) => this.line(probability[key], colour, order, key)),
    );
  }

  line(values, colour, order, key) {
    const points = values.map((value, i) => `${this.x(i).toFixed(1)},${this.y(value).toFixed(1)}`).join(" ");
    const style = { stroke: colour, "stroke-dasharray": order ? "5 4" : "none", "stroke-width": key === "any" ? 2.2 : 1.5 };
    const parts = [svg("polyline", { points, fill: "none", ...style })];
    const dots = values.length === 1 ? [0] : order === 0 && key === "any" ? this.volume.top : [];
    for (const i of dots) parts.push(svg("circle", { cx: this.x(i), cy: this.y(values[i]), r: 3.5, fill: colour }));
    return parts;
  }

  mark(slice) {
    this.at = slice;
    this.marker.setAttribute("x1", this.x(slice));
    this.marker.setAttribute("x2", this.x(slice));
  }

  // Exact values of what is drawn, for the hover.
  describe(slice) {
    const values = this.volume.models.flatMap(({ name, probability }) =>
      this.volume.labels
        .filter(({ key }) => this.shown.has(key) && probability[key])
        .map(({ key, short }) => `${name} ${short} ${written(probability[key][slice])}`),
    );
    return `Slice ${slice + 1}: ${values.join(", ")}`;
  }

  // Style sheets do not travel with a saved file, so colours become attributes.
  save() {
    const copy = this.root.cloneNode(true);
    const attributes = { xmlns: SVG, width: this.width, height: this.height, "font-family": "sans-serif", "font-size": 12 };
    for (const [key, value] of Object.entries(attributes)) copy.setAttribute(key, value);
    copy.querySelectorAll(".grid").forEach((node) => node.setAttribute("stroke", "#cccccc"));
    copy.querySelectorAll(".marker").forEach((node) => node.setAttribute("stroke", "#555555"));
    copy.prepend(svg("rect", { width: "100%", height: "100%", fill: "white" }));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
    link.download = "probability-along-slices.svg";
    link.click();
    URL.revokeObjectURL(link.href);
  }
}
