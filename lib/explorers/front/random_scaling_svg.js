// Small helpers to draw with; put before random_scaling_distribution.js, _curves.js and random_scaling.js: one module together.
const HALF = 3.4;  // about half a character of a tick in pixels

function draw(parent, tag, attributes = {}, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// A figure with its words above a picture whose units are pixels; `paint(width, height)` fills it, again whenever its width changes.
function figure(root, name, height, paint) {
  const box = add(root, "figure", `rs-figure rs-${name}`);
  const title = add(box, "figcaption", "rs-title"), note = add(box, "p", "rs-sub"), keys = add(box, "p", "rs-keys");
  const svg = draw(box, "svg", { role: "img" });
  let width = 0;
  const self = {
    box, title, note, keys, svg,
    repaint() {
      if (!width) return;
      const tall = height();
      svg.replaceChildren();
      set(svg, { height: tall, viewBox: `0 0 ${width} ${tall}` });
      paint(width, tall);
    },
  };
  new ResizeObserver(() => {
    const wide = Math.round(svg.clientWidth || box.clientWidth);
    if (!wide || wide === width) return;
    width = wide;
    self.repaint();
  }).observe(box);
  return self;
}

// Names beside their colours.
function legend(list, entries) {
  list.replaceChildren();
  for (const [words, colour, kind] of entries) add(list, "span", `rs-key ${kind ?? ""}`, words).style.setProperty("--colour", colour);
}

// Round numbers from 0 to an end.
function ticks(end, most) {
  const unit = 10 ** Math.floor(Math.log10(end / most));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((s) => end / s <= most + 1e-9);
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

// Names of places along x; one that would touch its neighbour is left out.
function places(svg, names, x, y) {
  let taken = -Infinity;
  names.forEach((name, i) => {
    const half = HALF * name.length;
    if (x(i) - half < taken) return;
    draw(svg, "text", { x: x(i), y, class: "rs-tick", "text-anchor": "middle" }, name);
    taken = x(i) + half + 6;
  });
}

// A path through points, broken where there is none.
function path(xs, ys) {
  let pen = "M", found = "";
  xs.forEach((x, i) => {
    if (ys[i] === null) pen = "M";
    else {
      found += `${pen}${x.toFixed(1)},${ys[i].toFixed(1)}`;
      pen = "L";
    }
  });
  return found;
}
