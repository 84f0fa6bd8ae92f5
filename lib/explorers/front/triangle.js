// The simplex as something to touch: a triangle of three sources, or an edge of two.
// The point follows the pointer at once; the kernel gets the last position of each drawn frame, the very last one always.
// A front end and its kernel number their messages: an answer older than what is shown, or than what was asked, moves nothing.
const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.02;

function make(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// Nearest point of the simplex to any weights of sum 1.
function ontoSimplex(weights) {
  const sorted = [...weights].sort((x, y) => y - x);
  let sum = 0, theta = 0;
  sorted.forEach((value, i) => {
    sum += value;
    if (value - (sum - 1) / (i + 1) > 0) theta = (sum - 1) / (i + 1);
  });
  const inside = weights.map((value) => Math.max(value - theta, 0));
  const total = inside.reduce((x, y) => x + y);
  return inside.map((value) => value / total);
}

function place(corners, weights) {
  return [0, 1].map((axis) => corners.reduce((sum, corner, i) => sum + weights[i] * corner[axis], 0));
}

function star(x, y, r) {
  return Array.from({ length: 10 }, (_, i) => {
    const angle = (i * Math.PI) / 5 - Math.PI / 2, radius = i % 2 ? 0.45 * r : r;
    return `${x + radius * Math.cos(angle)},${y + radius * Math.sin(angle)}`;
  }).join(" ");
}

function words(names, weights) {
  return names.map((name, i) => `${name} ${Math.round(100 * weights[i])} %`).join(", ");
}

function draw_corners(svg, names, colours, corners) {
  names.forEach((name, i) => {
    const [x, y] = corners[i], top = names.length === 3 && i === 0;
    const anchor = top ? "middle" : x < 200 ? "start" : "end";
    const at = { x: top ? x : x < 200 ? 2 : 398, y: top ? y - 14 : y + 28, "text-anchor": anchor, fill: colours[i] };
    const label = name.length > 24 ? `${name.slice(0, 23)}…` : name;
    const text = make("text", { ...at, class: "corner" }, svg, label);
    make("title", {}, text, name);
    make("circle", { cx: x, cy: y, r: 5, fill: colours[i], stroke: "#fff", "stroke-width": 1.5 }, svg);
  });
}

function render({ model, el }) {
  const names = model.get("names"), colours = model.get("colours"), m = names.length, corners = CORNERS[m];
  const root = document.createElement("div");
  root.className = "geo-triangle";
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  const canvas = document.createElement("canvas");
  const svg = make("svg", { viewBox: `0 0 400 ${HEIGHT[m]}` }, root);
  root.prepend(canvas);
  make("polygon", { points: corners.map((c) => c.join(",")).join(" "), class: "outline" }, svg);
  const dots = make("g", {}, svg);
  draw_corners(svg, names, colours, corners);
  const optimum = make("g", { class: "optimum" }, svg);
  const handle = make("g", { class: "handle", tabindex: 0, role: "slider" }, svg);
  handle.setAttribute("aria-valuemin", 0);
  handle.setAttribute("aria-valuemax", 100);
  handle.setAttribute("aria-label", `mixing weights of ${names.join(", ")}; arrow keys move, 1 to ${m} go to a source, 0 to the centre`);
  make("circle", { r: 22, class: "touch" }, handle);
  make("circle", { r: 10, class: "ring" }, handle);
  make("circle", { r: 3.5, class: "core" }, handle);
  const shares = document.createElement("div");
  shares.className = "geo-shares";
  const parts = names.map((name, i) => {
    const part = document.createElement("span");
    part.style.background = colours[i];
    part.title = name;
    shares.append(part);
    return part;
  });
  const legend = document.createElement("div");
  legend.className = "geo-legend";
  root.append(legend, shares);
  el.append(root);

  let here = [...model.get("frame").weights], sent = model.get("frame").seq, dragging = false, scheduled = 0;

  function show() {
    const [x, y] = place(corners, here);
    handle.setAttribute("transform", `translate(${x},${y})`);
    handle.setAttribute("aria-valuenow", Math.round(100 * here[0]));
    handle.setAttribute("aria-valuetext", words(names, here));
    parts.forEach((part, i) => {
      part.style.flexGrow = here[i];
      part.textContent = here[i] >= 0.09 ? `${(100 * here[i]).toFixed(0)} %` : "";
    });
  }

  function send() {
    cancelAnimationFrame(scheduled);
    scheduled = 0;
    sent = Math.max(Date.now(), sent + 1);  // larger than that of any page which has asked before
    model.set("request", { seq: sent, weights: here });
    model.save_changes();
  }

  function go(weights) {
    here = ontoSimplex(weights);
    show();
    if (!scheduled) scheduled = requestAnimationFrame(send);
  }

  function pointer(event) {
    const box = svg.getBoundingClientRect(), scale = 400 / box.width;
    go(barycentric(corners, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale));
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    dragging = true;
    svg.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    pointer(event);
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => dragging && pointer(event));
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    svg.addEventListener(end, () => {
      if (dragging && scheduled) send();
      dragging = false;
    });
  }

  handle.addEventListener("keydown", (event) => {
    const reach = (event.shiftKey ? 5 : 1) * STEP * 336;
    const moves = { ArrowLeft: [-reach, 0], ArrowRight: [reach, 0], ArrowUp: [0, -reach], ArrowDown: [0, reach] };
    const corner = Number(event.key) - 1;
    if (event.key in moves) {
      const [x, y] = place(corners, here), [dx, dy] = moves[event.key];
      go(barycentric(corners, x + dx, m === 2 ? y : y + dy));
    } else if (event.key === "0") go(here.map(() => 1 / m));
    else if (corner >= 0 && corner < m) go(here.map((_, i) => Number(i === corner)));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function frame() {
    const { seq, weights } = model.get("frame");
    if (dragging || scheduled || seq < sent) return;
    sent = seq;
    here = [...weights];
    show();
  }

  function background() {
    const backdrop = model.get("backdrop");
    paint(canvas, backdrop, corners, m);
    dots.replaceChildren();
    if (!backdrop.segments) {
      const points = floats(backdrop.weights);
      for (let g = 0; g * m < points.length; g++) {
        const [cx, cy] = place(corners, points.slice(g * m, g * m + m));
        make("circle", { cx, cy, r: 2, class: "grid" }, dots);
      }
    }
    legend.replaceChildren();
    const bar = document.createElement("span");
    bar.className = "geo-bar";
    const colour = new Uint8Array(backdrop.colours.buffer, backdrop.colours.byteOffset, 768);
    const stops = Array.from({ length: 9 }, (_, i) => `rgb(${colour.slice(3 * Math.round(i * 31.875), 3 * Math.round(i * 31.875) + 3)})`);
    bar.style.background = `linear-gradient(to right, ${stops})`;
    const title = document.createElement("span");
    title.className = "geo-title";
    title.textContent = backdrop.title;
    legend.append(title, Number(backdrop.low).toPrecision(3), bar, Number(backdrop.high).toPrecision(3), "  ★ optimum a*");
  }

  function mark() {
    const best = model.get("optimum"), [x, y] = place(corners, best);
    optimum.replaceChildren();
    make("polygon", { points: star(x, y, 11) }, optimum);
    make("title", {}, optimum, `optimum of the quadratic programme: ${words(names, best)}`);
  }

  model.on("change:frame", frame);
  model.on("change:backdrop", background);
  model.on("change:optimum", mark);
  show();
  mark();
  background();
}

export default { render };
