// The next token under both mixes as pairs of bars that move to their rank, and the anchors' own texts.
const ROW = 30, LEAST = 0.02;  // pixels from bar to bar; the shortest scale of the bars

function percent(share) {
  if (share === null) return "–";
  return share > 0 && share < 0.001 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`;
}

function tokenRow(parent) {
  const row = add(parent, "div", "lm-token");
  const name = add(row, "span", "lm-token-name"), tracks = add(row, "div", "lm-pair");
  const fills = ["a", "b"].map((pane) => add(add(tracks, "div", `lm-half lm-${pane}`), "i", ""));
  const value = add(row, "span", "lm-token-value");
  return {
    row,
    show(bar, rank, most) {
      row.style.transform = `translateY(${rank * ROW}px)`;
      name.textContent = bar.token;
      name.title = `token ${bar.id}`;
      [bar.a, bar.b].forEach((share, i) => (fills[i].style.transform = `scaleX(${(share ?? 0) / most})`));
      value.textContent = `${percent(bar.a)} | ${percent(bar.b)}`;
    },
  };
}

function render({ model, el }) {
  const root = add(el, "div", "lm-tokens");
  const next = add(root, "div", "lm-next"), title = add(next, "p", "lm-title"), note = add(next, "p", "lm-note");
  const chart = add(next, "div", "lm-chart");
  const below = add(root, "div", "lm-anchors"), heading = add(below, "p", "lm-title", "The anchors’ own texts: same prompt, same seed");
  const list = add(below, "div", "lm-anchor-list"), rows = new Map();

  function frame() {
    const now = model.get("frame"), most = Math.max(LEAST, ...now.bars.flatMap((bar) => [bar.a, bar.b]));
    for (const [pane, colour] of Object.entries(now.colours)) root.style.setProperty(`--${pane}`, colour);
    title.textContent = `The next token after “${now.prompt}”: A above, B below, no sampling`;
    note.textContent = now.note;
    const kept = new Set(now.bars.map((bar) => bar.id));
    for (const [id, each] of rows) {
      if (kept.has(id)) continue;
      each.row.remove();
      rows.delete(id);
    }
    now.bars.forEach((bar, rank) => {
      if (!rows.has(bar.id)) rows.set(bar.id, tokenRow(chart));
      rows.get(bar.id).show(bar, rank, most);
    });
    chart.style.height = `${now.bars.length * ROW}px`;
  }

  function anchors() {
    const now = model.get("anchors");
    below.hidden = !now.length;
    list.replaceChildren();
    for (const { name, words, score, done } of now) {
      const who = add(list, "span", "lm-anchor-name", name);
      if (score) add(who, "b", "lm-anchor-score", score);
      add(list, "span", "lm-anchor-words", words || (done ? "(nothing)" : "…"));
    }
  }

  model.on("change:frame", frame);
  model.on("change:anchors", anchors);
  frame();
  anchors();
}

export default { render };
