// The distribution over seeds at one place on the axis of scales: bars, density, marks above and a stack of dots below.
const TALL = { marks: 58, base: 214, stack: 224, below: 20 };  // pixels from above; `below` the stack: numbers of the axis
const PITCH = 8.4, DEEPEST = 138;  // of stacked dots, and of a stack, in pixels
const SIDE = { left: 46, right: 16 };
const REACH = 22;  // pixels from a dot at which a click still means it

function distribution(root, model, ask) {
  let parts = null, stage = model.get("stage"), frame = model.get("frame");
  const chart = figure(root, "distribution", () => TALL.stack + deep() + TALL.below, paint);
  const { svg } = chart, axis = add(chart.box, "p", "rs-axis");
  set(svg, { tabindex: 0, role: "group", "data-lm-suppress-shortcuts": "true" });  // JupyterLab asks the focused element

  function scaleX(width) {
    return (value) => SIDE.left + (clamp(value, 0, stage.end) / stage.end) * (width - SIDE.left - SIDE.right);
  }

  function depth() {
    return Math.max(stage.depth, 1 + Math.max(0, ...frame.fresh.lanes));
  }

  function deep() {
    return clamp(PITCH * depth(), 50, DEEPEST);
  }

  function paint(width, height) {
    const x = scaleX(width), right = width - SIDE.right, bottom = height - TALL.below;
    const y = (share) => TALL.base - Math.min(share / stage.top, 1.02) * (TALL.base - TALL.marks);
    const pitch = Math.min(PITCH, deep() / depth());
    const radius = clamp((x(stage.end) - x(0)) / stage.columns / 2, 2.4, 4);
    const back = draw(svg, "g"), bars = draw(svg, "g", { class: "rs-moving" });
    for (const value of ticks(stage.end, 6)) {
      draw(back, "line", { class: "rs-grid", x1: x(value), x2: x(value), y1: TALL.marks, y2: bottom });
      draw(back, "text", { class: "rs-tick", x: x(value), y: bottom + 15, "text-anchor": "middle" }, value);
    }
    for (const share of ticks(stage.top, 5)) {
      draw(back, "line", { class: "rs-grid", x1: SIDE.left, x2: right, y1: y(share), y2: y(share) });
      draw(back, "text", { class: "rs-tick", x: SIDE.left - 6, y: y(share) + 4, "text-anchor": "end" }, `${Math.round(100 * share)} %`);
    }
    draw(back, "text", { class: "rs-tick", x: SIDE.left - 12, y: TALL.stack + 14, "text-anchor": "end" }, "seeds");
    const zone = draw(back, "rect", { class: "rs-zone", y: TALL.marks, height: bottom - TALL.marks });
    const bin = (right - SIDE.left) / frame.shares.length;
    const each = frame.shares.map((_, i) => draw(bars, "rect", { class: "rs-bar", x: SIDE.left + i * bin + 1, width: Math.max(bin - 2, 1) }));
    const curve = draw(svg, "path", { class: "rs-density rs-moving" });
    draw(svg, "line", { class: "rs-base", x1: SIDE.left, x2: right, y1: TALL.base, y2: TALL.base });
    const marks = {};
    ["tau", "mean", "mode"].forEach((name, row) => {
      const group = draw(svg, "g", { class: `rs-mark rs-${name} rs-moving` });
      const text = 12 + 16 * row;
      draw(group, "line", { x1: 0, x2: 0, y1: text + 5, y2: name === "tau" ? bottom : TALL.base });
      marks[name] = { group, text: draw(group, "text", { y: text, class: "rs-halo" }) };
    });
    const stack = draw(svg, "g", { class: "rs-stack rs-moving" });
    const dots = frame.dots.map(() => draw(stack, "circle", { class: "rs-dot", r: radius }));
    const fresh = draw(svg, "g");
    const rings = {};
    for (const name of ["linear", "emergent", "chosen"]) {
      rings[name] = draw(svg, "circle", { class: `rs-ring rs-moving rs-${name}`, r: radius + 2.2, stroke: stage.colours[name] });
    }
    parts = { x, y, pitch, radius, zone, each, curve, marks, dots, fresh, rings, width };
    move();
  }

  function level(lane) {
    return TALL.stack + parts.pitch * (lane + 0.5);
  }

  function mark(name, value, words) {
    const { group, text } = parts.marks[name], at = parts.x(value ?? 0);
    group.style.display = value === null ? "none" : "";
    group.style.transform = `translateX(${at}px)`;
    text.textContent = words;
    const long = text.getComputedTextLength(), fits = at + 5 + long < parts.width;
    text.setAttribute("x", Math.max(fits ? 5 : -5 - long, 2 - at));  // right of its line, else left, and never outside
  }

  function move() {
    const { x, y, each, curve, dots, rings, fresh, zone } = parts, { marks } = frame;
    const unit = stage.metric.includes("nats") ? " nats" : "";
    frame.shares.forEach((share, i) => set(each[i], { y: y(share), height: Math.max(TALL.base - y(share), 0) }));
    curve.setAttribute("d", path(frame.density.map((_, i) => x((i * stage.end) / (frame.density.length - 1))), frame.density.map(y)));
    dots.forEach((dot, i) => {
      set(dot, { cx: x(frame.dots[i]), cy: level(frame.lanes[i]) });
      dot.dataset.seed = frame.who[i];
    });
    for (const [name, ring] of Object.entries(rings)) {
      ring.style.display = name in frame.rings ? "" : "none";
      if (name in frame.rings) set(ring, { cx: x(frame.rings[name][0]), cy: level(frame.rings[name][1]) });
    }
    fresh.replaceChildren();
    frame.fresh.dots.forEach((value, i) => {
      draw(fresh, "circle", { class: "rs-fresh", r: parts.radius, cx: x(value), cy: level(frame.fresh.lanes[i]) });
    });
    mark("tau", marks.tau, `success: above τ = ${(marks.tau ?? 0).toFixed(2)}`);
    mark("mean", marks.mean, `mean ${marks.mean.toFixed(2)}${unit}`);
    mark("mode", marks.mode, `mode ${marks.mode.toFixed(2)}${unit}, the fullest bin`);
    zone.style.display = marks.tau === null ? "none" : "";
    set(zone, { x: x(marks.tau ?? 0), width: x(stage.end) - x(marks.tau ?? 0) });
    svg.classList.toggle("rs-between", !frame.known);
    svg.setAttribute("aria-label", `${frame.said}. Arrow keys choose a seed, Escape none.`);
  }

  function say() {
    chart.title.textContent = frame.title;
    axis.textContent = stage.metric;
    chart.note.textContent = frame.subtitle;
    chart.note.classList.toggle("rs-warn", !frame.known);
    const words = frame.picks;
    const entries = ["emergent", "linear", "chosen"].filter((name) => name in words).map((name) => [words[name], stage.colours[name], "rs-round"]);
    entries.unshift([frame.density_words, stage.colours.seeds]);
    if (frame.fresh.dots.length) entries.push(["open: trained now", stage.colours.seeds, "rs-round"]);
    legend(chart.keys, entries);
  }

  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect(), at = [event.clientX - box.left, event.clientY - box.top];
    let best = REACH, seed = null;
    frame.dots.forEach((value, i) => {
      const away = Math.hypot(parts.x(value) - at[0], level(frame.lanes[i]) - at[1]);
      if (away < best) [best, seed] = [away, frame.who[i]];
    });
    if (seed !== null) ask("seed", seed === frame.chosen ? null : seed);
  });

  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key], n = frame.who.length;
    if (step) ask("seed", frame.who[frame.chosen === null ? (step > 0 ? 0 : n - 1) : (frame.who.indexOf(frame.chosen) + step + n) % n]);
    else if (event.key === "Escape") ask("seed", null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return () => {
    const fits = parts && stage === model.get("stage") && frame.fresh.dots.length === model.get("frame").fresh.dots.length;
    [stage, frame] = [model.get("stage"), model.get("frame")];
    say();
    if (fits) move();
    else chart.repaint();
  };
}
