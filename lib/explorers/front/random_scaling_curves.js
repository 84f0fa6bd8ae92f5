// Every seed's curve over scale, four statistics of all, and what one sees who can afford few seeds.
const EDGE = { left: 44, right: 14, top: 10, low: 40 };  // low: room for names of places and axis
const NEAR = 18;  // pixels from a curve at which a click still means it

// Axes of a metric over places; gives where things lie.
function field(svg, width, height, names, words, end, percent) {
  const inset = 10, span = width - EDGE.left - EDGE.right - 2 * inset, bottom = height - EDGE.low;
  const x = (place) => EDGE.left + inset + (place / Math.max(names.length - 1, 1)) * span;
  const y = (value) => (value === null ? null : bottom - (clamp(value, 0, end) / end) * (bottom - EDGE.top));
  for (const value of ticks(end, 4)) {
    draw(svg, "line", { class: "rs-grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) });
    draw(svg, "text", { class: "rs-tick", x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, percent ? `${Math.round(100 * value)} %` : value);
  }
  places(svg, names, x, bottom + 16);
  draw(svg, "text", { class: "rs-tick rs-axis", x: (EDGE.left + width - EDGE.right) / 2, y: height - 6, "text-anchor": "middle" }, words);
  return { x, y, bottom };
}

// A click goes to the nearest of the trained scales.
function pickPlaces(svg, f, count, act) {
  svg.addEventListener("click", (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const gap = f().x(1) - f().x(0);
    act(clamp(Math.round((at - f().x(0)) / gap), 0, count() - 1));
  });
}

function bundle(root, model, ask) {
  let at = null, cursor = null;
  const chart = figure(root, "bundle", () => 300, paint);
  chart.title.textContent = "Every seed over scale";

  function line(stage, k, kind, colour) {
    const { x, y } = at, curve = stage.curves[k];
    const d = path(curve.map((_, i) => x(i)), curve.map(y));
    if (kind !== "rs-faint" && k !== stage.linear) draw(chart.svg, "path", { d, class: "rs-under" });
    const drawn = draw(chart.svg, "path", { d, class: `rs-curve ${kind}`, "data-seed": k });
    if (colour) drawn.setAttribute("stroke", colour);
    draw(drawn, "title", {}, stage.names[k]);
    return drawn;
  }

  function paint(width, height) {
    const stage = model.get("stage"), frame = model.get("frame");
    at = field(chart.svg, width, height, stage.scales, stage.scale, stage.end);
    cursor = draw(chart.svg, "line", { class: "rs-cursor rs-moving", x1: 0, x2: 0, y1: EDGE.top - 4, y2: at.bottom });
    stage.curves.forEach((_, k) => line(stage, k, "rs-faint"));
    line(stage, stage.emergent, "rs-special", stage.colours.emergent);
    if (frame.chosen !== null) line(stage, frame.chosen, "rs-special rs-chosen", stage.colours.chosen);
    line(stage, stage.linear, "rs-special rs-dashed", stage.colours.linear);  // dashes last: another colour may lie below
    move();
  }

  function move() {
    if (cursor) cursor.style.transform = `translateX(${at.x(model.get("frame").place)}px)`;
  }

  chart.svg.addEventListener("click", (event) => {
    const stage = model.get("stage"), box = chart.svg.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const place = clamp((px - at.x(0)) / (at.x(1) - at.x(0)), 0, stage.scales.length - 1);
    const i = Math.min(Math.floor(place), stage.scales.length - 2), t = place - i;
    let best = NEAR, seed = null;
    stage.curves.forEach((curve, k) => {
      const away = Math.abs(at.y((1 - t) * curve[i] + t * curve[i + 1]) - py);
      if (away < best) [best, seed] = [away, k];
    });
    if (seed !== null) ask("seed", seed === model.get("frame").chosen ? null : seed);
  });

  let stage = null, chosen = null;
  return () => {
    const frame = model.get("frame"), words = frame.picks;
    chart.note.textContent = model.get("stage").note;
    const named = ["emergent", "linear", "chosen"].filter((name) => name in words);
    legend(chart.keys, named.map((name) => [words[name], model.get("stage").colours[name], name === "linear" ? "rs-dash" : ""]));
    chart.svg.setAttribute("aria-label", `curves of ${model.get("stage").names.length} seeds; ${named.map((name) => words[name]).join("; ")}`);
    if (stage === model.get("stage") && chosen === frame.chosen) return move();
    [stage, chosen] = [model.get("stage"), frame.chosen];
    chart.repaint();
  };
}

function panel(root, model, ask, name) {
  let at = null, cursor = null, ring = null;
  const chart = figure(root, `panel rs-panel-${name}`, () => 158, paint), found = () => model.get("panels").panels.find((each) => each.name === name);
  pickPlaces(chart.svg, () => at, () => model.get("stage").scales.length, (place) => ask("scale", place));

  function paint(width, height) {
    const now = found(), stage = model.get("stage");
    if (!now) return;
    at = field(chart.svg, width, height, stage.scales, stage.scale, now.end, name === "p_success");
    const xs = now.at.map(at.x);
    if (now.low.length) {
      const sound = now.low.map((low, i) => i).filter((i) => now.low[i] !== null);
      const edge = [...sound.map((i) => [xs[i], at.y(now.high[i])]), ...sound.reverse().map((i) => [xs[i], at.y(now.low[i])])];
      draw(chart.svg, "polygon", { points: edge.map((p) => p.map((v) => v.toFixed(1)).join()).join(" "), class: "rs-band", fill: now.colour });
    }
    cursor = draw(chart.svg, "line", { class: "rs-cursor rs-moving", x1: 0, x2: 0, y1: EDGE.top - 4, y2: at.bottom });
    draw(chart.svg, "path", { d: path(xs, now.value.map(at.y)), class: "rs-curve", stroke: now.colour });
    if (now.low.length) {
      now.value.forEach((value, i) => value !== null && draw(chart.svg, "circle", { cx: xs[i], cy: at.y(value), r: 3, fill: now.colour }));
    }
    ring = draw(chart.svg, "circle", { class: "rs-ring", r: 6, stroke: now.colour });
    move();
  }

  function move() {
    const now = found(), { place } = model.get("frame");
    if (!now || !cursor) return;
    cursor.style.transform = `translateX(${at.x(place)}px)`;
    const i = now.at.findIndex((each) => Math.abs(each - place) < 1e-6), value = i < 0 ? null : now.value[i];
    ring.style.display = value === null ? "none" : "";
    if (value !== null) set(ring, { cx: at.x(place), cy: at.y(value) });
  }

  let drawn = null, stage = null;
  return () => {
    const now = found();
    chart.box.hidden = !now;
    if (!now) return;
    chart.title.textContent = now.title;
    chart.svg.setAttribute("aria-label", `${now.title} over scale: ${now.value.map((v) => (v === null ? "none" : v.toFixed(2))).join(", ")}`);
    const fits = drawn === now && stage === model.get("stage");
    [drawn, stage] = [now, model.get("stage")];
    if (fits) move();
    else chart.repaint();
  };
}

function afford(root, model, ask) {
  const chart = figure(root, "afford", () => 190, paint);
  let at = null;
  chart.title.textContent = "How often it looks emergent, by seeds one can afford";
  pickPlaces(chart.svg, () => at, () => model.get("afford").sizes.length, (i) => ask("afford", model.get("afford").sizes[i]));

  function paint(width, height) {
    const now = model.get("afford"), { colours } = model.get("stage");
    if (!now.sizes.length) return;
    at = field(chart.svg, width, height, now.sizes.map(String), "seeds one can afford, m", 1, true);
    const here = now.sizes.indexOf(now.m);
    draw(chart.svg, "line", { class: "rs-cursor", x1: at.x(here), x2: at.x(here), y1: EDGE.top - 4, y2: at.bottom });
    for (const [name, colour] of [["median", colours.median], ["best", colours.seeds]]) {
      const xs = now.sizes.map((_, i) => at.x(i));
      draw(chart.svg, "path", { d: path(xs, now[name].map(at.y)), class: "rs-curve", stroke: colour });
      now[name].forEach((value, i) => draw(chart.svg, "circle", { cx: xs[i], cy: at.y(value), r: i === here ? 5 : 3, fill: colour }));
    }
  }

  return () => {
    const now = model.get("afford"), { colours } = model.get("stage"), i = now.sizes.indexOf(now.m);
    const percent = (value) => `${Math.round(100 * value)} %`;
    chart.svg.style.display = now.why ? "none" : "";
    chart.note.textContent = now.why || "share of choices whose curve gains 0.4 or more between two neighbouring scales";
    legend(chart.keys, now.why ? [] : [
      [`best of ${now.m}: ${percent(now.best[i])}`, colours.seeds], [`median of ${now.m}: ${percent(now.median[i])}`, colours.median],
    ]);
    if (!now.why) chart.svg.setAttribute("aria-label", `looks emergent: best of ${now.m} ${percent(now.best[i])}, median ${percent(now.median[i])}`);
    chart.repaint();
  };
}
