// The few images, class by class, to choose one from; a cross marks those whose label has its largest share elsewhere.
const INK = 255;

function paint(canvas, values, start, [height, width, channels]) {
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let p = 0; p < width * height; p++) {
    if (channels === 3) image.data.set(values.subarray(start + 3 * p, start + 3 * p + 3), 4 * p);
    else image.data.fill(INK - values[start + p], 4 * p, 4 * p + 3);
    image.data[4 * p + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function bytes(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function render({ model, el }) {
  const { shape, pixels, groups } = model.get("stage"), values = bytes(pixels), size = shape.reduce((a, b) => a * b);
  const root = add(el, "div", "sl-images");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "images; arrow keys go to the next");
  const order = [], thumbs = [];
  for (const { name, rows } of groups) {
    const group = add(root, "div", "sl-group");
    add(group, "span", "sl-group-name", name).title = name;
    const strip = add(group, "div", "sl-strip");
    for (const i of rows) {
      const thumb = add(strip, "button", "sl-thumb");
      thumb.type = "button";
      thumb.tabIndex = -1;
      thumb.setAttribute("data-lm-suppress-shortcuts", "true");  // JupyterLab asks the focused element alone
      thumb.dataset.image = i;
      paint(add(thumb, "canvas", ""), values, i * size, shape);
      thumb.addEventListener("click", () => ask(i));
      thumbs[i] = thumb;
      order.push(i);
    }
  }
  const height = order.length > 60 ? 24 : order.length > 20 ? 30 : 44;
  root.style.setProperty("--height", `${height}px`);
  root.style.setProperty("--width", `${Math.ceil((height * shape[1]) / shape[0])}px`);
  root.style.setProperty("--each", Math.max(...groups.map(({ rows }) => rows.length)));
  const names = Object.fromEntries(groups.flatMap(({ name, rows }) => rows.map((i) => [i, name])));
  let chosen = -1;

  function ask(image) {
    model.set("request", { field: "image", value: image, time: performance.now() });
    model.save_changes();
  }

  root.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step) return;
    const next = order[(order.indexOf(chosen) + step + order.length) % order.length];
    thumbs[next].focus();
    ask(next);
    event.preventDefault();
    event.stopPropagation();
  });

  function frame() {
    const { image, wrong } = model.get("frame"), crosses = bytes(wrong);
    for (const i of order) {
      const is = i === image;
      thumbs[i].classList.toggle("sl-wrong", crosses[i] > 0);
      thumbs[i].classList.toggle("sl-chosen", is);
      thumbs[i].setAttribute("aria-pressed", is);
      thumbs[i].tabIndex = is ? 0 : -1;
      const words = `image ${i + 1}, ${names[i]}${crosses[i] ? ", its label is wrong" : ""}`;
      if (thumbs[i].title !== words) thumbs[i].title = words;
    }
    chosen = image;
  }

  model.on("change:frame", frame);
  frame();
}

export default { render };
