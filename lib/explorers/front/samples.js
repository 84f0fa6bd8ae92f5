// Followed samples: a row for each data set and one for what moves, their block soft labels, and numbers in words.
// Images are canvases of their own size, enlarged by the browser; points are drawn in a scene that can be turned.
const INK = 255;

function bytes(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function floats(view) {
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

function picture(canvas, values, start, [height, width]) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let p = 0; p < width * height; p++) {
    image.data.fill(INK - values[start + p], 4 * p, 4 * p + 3);
    image.data[4 * p + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function strip(canvases, view, shape) {
  const values = bytes(view);
  canvases.forEach((canvas, j) => picture(canvas, values, j * shape[0] * shape[1], shape));
}

// Rows of images under the classes of the base samples; gives the canvases of the row that moves.
function gallery(root, stage) {
  const grid = add(root, "div", "geo-gallery");
  const k = stage.heads.length;
  grid.style.gridTemplateColumns = `minmax(5.5em, 8.5em) repeat(${k}, minmax(0, 1fr))`;
  add(grid, "span", "geo-name", stage.head);
  stage.heads.forEach((head) => add(grid, "span", "geo-head", head));
  const row = (name, colour, kind) => {
    const label = add(grid, "span", `geo-name ${kind}`, name);
    label.style.color = colour;
    label.title = name;
    return stage.heads.map((_, j) => {
      const canvas = add(grid, "canvas", `geo-picture ${kind}`);
      canvas.style.borderColor = colour;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${name}, sample ${j + 1}`);
      return canvas;
    });
  };
  for (const fixed of stage.rows) strip(row(fixed.name, fixed.colour, "fixed"), fixed.data, stage.shape);
  return row(stage.mix.name, stage.mix.colour, "mix");
}

// Points in a box that the pointer turns; gives a function that draws the moving ones.
function points(root, stage, camera) {
  const canvas = add(root, "canvas", "geo-points");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `points of ${[...stage.rows.map((row) => row.name), stage.mix.name].join(", ")}; drag to turn`);
  const keys = add(root, "div", "geo-keys");
  for (const { name, colour } of [...stage.rows, stage.mix]) {
    add(keys, "span", "geo-key", name).style.setProperty("--colour", colour);
  }
  if (!stage.flat) add(keys, "span", "geo-hint", "drag to turn");
  const clouds = stage.rows.map((row) => ({ colour: row.colour, at: floats(row.data) }));
  let moving = new Float32Array();

  function draw() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2), size = canvas.clientWidth || 460, tall = canvas.clientHeight || 330;
    if (canvas.width !== Math.round(size * ratio)) [canvas.width, canvas.height] = [Math.round(size * ratio), Math.round(tall * ratio)];
    const context = canvas.getContext("2d"), unit = 0.62 * Math.min(size, tall);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size, tall);
    const [ct, st, cp, sp] = [Math.cos(camera.turn), Math.sin(camera.turn), Math.cos(camera.tilt), Math.sin(camera.tilt)];
    const project = (at, i) => {
      const [x, y, z] = [at[3 * i], at[3 * i + 1], at[3 * i + 2]];
      const [right, deep] = [ct * x - st * y, st * x + ct * y];
      return [size / 2 + unit * right, tall / 2 - unit * (cp * z + sp * deep), cp * deep - sp * z];
    };
    const base = clouds[0].at;
    context.lineWidth = 1;
    for (const j of stage.followed) {
      if (3 * j >= moving.length) continue;
      const [x, y] = project(moving, j);
      for (const [cloud, colour] of [[base, stage.rows[0].colour], ...stage.links.map((link) => [floats(link.data), link.colour])]) {
        const [u, v] = project(cloud, j);
        context.strokeStyle = colour;
        context.globalAlpha = 0.45;
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo(u, v);
        context.stroke();
      }
    }
    const dots = [];
    [...clouds, { colour: stage.mix.colour, at: moving }].forEach(({ colour, at }, c) => {
      for (let i = 0; 3 * i < at.length; i++) dots.push([...project(at, i), colour, c === clouds.length ? 2.6 : 2.2]);
    });
    dots.sort((one, other) => other[2] - one[2]);
    context.globalAlpha = 0.75;
    for (const [x, y, , colour, radius] of dots) {
      context.fillStyle = colour;
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
    }
  }

  if (!stage.flat) {
    canvas.style.cursor = "grab";
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      camera.turn += event.movementX * 0.01;
      camera.tilt = Math.min(Math.max(camera.tilt + event.movementY * 0.01, 0), Math.PI / 2);
      draw();
    });
  }
  const watch = new ResizeObserver(draw);
  watch.observe(canvas);
  return (view) => {
    moving = floats(view);
    draw();
  };
}

// One row of bars for each sample, blocks of classes apart; gives a function that sets their heights.
function bars(root, stage) {
  const table = add(root, "div", "geo-bars");
  const weights = stage.blocks.map((block) => `minmax(0, ${block.classes.length}fr)`).join(" ");
  table.style.gridTemplateColumns = `minmax(5.5em, 8.5em) ${weights}`;
  add(table, "span", "geo-name", "soft labels");
  const totals = stage.blocks.map((block) => {
    const head = add(table, "span", "geo-block-name", block.name);
    head.style.color = block.colour;
    head.title = block.name;
    return head;
  });
  const fills = [];
  stage.heads.forEach((head, j) => {
    add(table, "span", "geo-name geo-sample", `sample ${j + 1}`);
    for (const block of stage.blocks) {
      const cells = add(table, "div", "geo-block");
      for (const name of block.classes) {
        const cell = add(cells, "div", "geo-cell");
        const fill = add(cell, "div", "geo-fill");
        fill.style.background = block.colour;
        cell.addEventListener("pointerenter", () => (cell.title = `${block.name}, class ${name}: ${(100 * fill.share).toFixed(1)} %`));
        fills.push(fill);
      }
    }
  });
  add(table, "span", "geo-name", "class");
  for (const block of stage.blocks) {
    const names = add(table, "div", "geo-block geo-classes");
    for (const name of block.classes) add(names, "span", "", name).title = name;
  }
  return (view) => {
    floats(view).forEach((share, i) => {
      fills[i].share = share;
      fills[i].style.height = `${100 * share}%`;
    });
    stage.blocks.forEach((block, b) => {
      const first = stage.blocks.slice(0, b).reduce((sum, each) => sum + each.classes.length, 0);
      // Every sample has the same mass in a block, so the first one's will do.
      const mass = fills.slice(first, first + block.classes.length).reduce((sum, fill) => sum + fill.share, 0);
      totals[b].textContent = `${(100 * mass).toFixed(0)} % ${block.name}`;
    });
  };
}

function say(list, lines) {
  list.replaceChildren();
  for (const { title, value, detail, warn } of lines) {
    const kind = warn ? " geo-warn" : "";
    add(list, "div", `geo-term${kind}`, (warn ? "⚠ " : "") + title);
    const text = add(list, "div", `geo-value${kind}`, value);
    if (detail) add(text, "small", "", detail);
  }
}

function render({ model, el }) {
  const root = add(el, "div", "geo-samples");
  const pictures = add(root, "div", "geo-part"), labels = add(root, "div", "geo-part");
  const list = add(root, "div", "geo-readouts"), note = add(root, "p", "geo-note");
  note.setAttribute("role", "status");
  const camera = { turn: 0.6, tilt: 0.35 };
  let move = () => {}, raise = () => {}, seen = -1, staged = -1;

  function stage() {
    const now = model.get("stage");
    pictures.replaceChildren();
    labels.replaceChildren();
    if (now.shape) {
      const row = gallery(pictures, now);
      move = (view) => strip(row, view, now.shape);
    } else {
      if (now.flat) camera.tilt = Math.PI / 2, camera.turn = 0;
      move = points(pictures, now, camera);
    }
    raise = bars(labels, now);
    staged = now.number;
    frame();
  }

  function frame() {
    const now = model.get("frame");
    if (now.seq < seen || now.stage !== staged) return;  // older than what is shown, or of a stage that is about to come
    seen = now.seq;
    root.dataset.seq = now.seq;
    move(now.mix);
    raise(now.labels);
    say(list, now.readouts);
  }

  function busy() {
    root.classList.toggle("geo-busy", model.get("busy"));
    note.textContent = model.get("busy") ? "computing …" : model.get("note");
  }

  model.on("change:stage", stage);
  model.on("change:frame", frame);
  model.on("change:busy change:note", busy);
  stage();
  busy();
}

export default { render };
