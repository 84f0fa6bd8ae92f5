// One image with its label as bars, the label's way through the epochs, numbers in words, and charts that the kernel draws.

function paint(canvas, view, [height, width, channels]) {
  const values = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let p = 0; p < width * height; p++) {
    if (channels === 3) image.data.set(values.subarray(3 * p, 3 * p + 3), 4 * p);
    else image.data.fill(255 - values[p], 4 * p, 4 * p + 3);
    image.data[4 * p + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function changed(bar) {
  return Math.abs(bar.before - bar.share) > 0.002;
}

// Rows of a name, a cell for every epoch, and a bar; rows are kept as long as they are as many.
function bars(root, epochs) {
  const table = add(root, "div", "sl-bars");
  table.style.setProperty("--epochs", epochs.length);
  add(table, "span", "sl-head", "class");
  const head = add(table, "span", "sl-head sl-epochs", epochs.length > 1 ? `epoch ${epochs[0]} … ${epochs.at(-1)}` : "");
  head.title = `share after epochs ${epochs.join(", ")}, at this temperature`;
  const key = add(add(table, "span", "sl-head", "label"), "span", "sl-key", "before it was changed");
  add(table, "span", "sl-head", "");
  const rows = [];

  function grow() {
    const name = add(table, "span", "sl-class");
    const past = add(table, "div", "sl-past");
    const cells = epochs.map((epoch) => add(past, "i", ""));
    const track = add(table, "div", "sl-track");
    const row = { name, past, cells, fill: add(track, "div", "sl-fill"), before: add(track, "div", "sl-before") };
    row.value = add(table, "span", "sl-share");
    rows.push(row);
  }

  return (shown, epoch) => {
    while (rows.length < shown.length) grow();
    key.hidden = !shown.some(changed);
    rows.forEach((row, j) => {
      const bar = shown[j], hidden = bar === undefined;
      for (const part of [row.name, row.past, row.fill.parentNode, row.value]) part.hidden = hidden;
      if (hidden) return;
      row.name.textContent = bar.true ? `✓ ${bar.name}` : bar.name;
      row.name.title = bar.true ? `${bar.name}, the true class` : bar.name;
      row.name.classList.toggle("sl-true", bar.true);
      row.fill.classList.toggle("sl-true", bar.true);
      row.fill.style.transform = `scaleX(${bar.share})`;
      row.before.style.left = `${100 * bar.before}%`;
      row.before.hidden = !changed(bar);
      row.before.title = `${(100 * bar.before).toFixed(1)} % before it was changed`;
      row.value.textContent = bar.share > 0 && bar.share < 0.001 ? "<0.1 %" : `${(100 * bar.share).toFixed(1)} %`;
      row.cells.forEach((cell, e) => {
        cell.style.setProperty("--share", bar.past[e].toFixed(3));
        cell.classList.toggle("sl-now", e === epoch);
        cell.title = `epoch ${epochs[e]}: ${(100 * bar.past[e]).toFixed(1)} %`;
      });
    });
  };
}

function say(list, lines) {
  list.replaceChildren();
  for (const { title, value, detail, warn } of lines) {
    const kind = warn ? " sl-warn" : "";
    add(list, "div", `sl-term${kind}`, title);
    const text = add(list, "div", `sl-words${kind}`, value);
    if (detail) add(text, "small", "", detail);
  }
}

function render({ model, el }) {
  const { shape, epochs } = model.get("stage");
  const root = add(el, "div", "sl-labels"), label = add(root, "div", "sl-label");
  const left = add(label, "div", "sl-image");
  const picture = add(left, "canvas", ""), caption = add(left, "p", "sl-caption");
  picture.setAttribute("role", "img");
  root.style.setProperty("--tall", `${Math.min(132, (170 * shape[0]) / shape[1])}px`);
  const raise = bars(add(label, "div", "sl-right"), epochs);
  const list = add(root, "div", "sl-readouts"), note = add(root, "p", "sl-note");
  note.setAttribute("role", "status");
  const charts = add(root, "div", "sl-charts"), drawn = {};

  charts.addEventListener("click", (event) => {
    const spot = event.target.closest("[data-field]");
    if (!spot) return;
    model.set("request", { field: spot.dataset.field, value: Number(spot.dataset.value), time: performance.now() });
    model.save_changes();
  });

  function draw(svgs) {
    for (const name of Object.keys(drawn)) {
      if (name in svgs) continue;
      drawn[name].remove();
      delete drawn[name];
    }
    for (const [name, svg] of Object.entries(svgs)) {
      drawn[name] ??= add(charts, "div", `sl-chart sl-${name}`);
      if (drawn[name].source === svg) continue;
      drawn[name].source = svg;
      drawn[name].innerHTML = svg;
    }
  }

  function frame() {
    const now = model.get("frame");
    paint(picture, now.pixels, shape);
    picture.setAttribute("aria-label", now.caption);
    caption.textContent = now.caption;
    raise(now.bars, now.epoch);
    say(list, now.readouts);
    draw(now.charts);
    root.dataset.number = now.number;
  }

  function busy() {
    root.classList.toggle("sl-busy", model.get("busy"));
    note.textContent = model.get("busy") ? "training students …" : "";
  }

  model.on("change:frame", frame);
  model.on("change:busy", busy);
  frame();
  busy();
}

export default { render };
