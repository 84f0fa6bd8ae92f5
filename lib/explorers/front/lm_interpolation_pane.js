// One mix of the lm-interpolation explorer: its text as it is written, and its scores.

function place(element, value) {
  element.hidden = value === undefined;
  if (value !== undefined) element.style.left = `${100 * value}%`;
}

// A score from 0 to 1: a bar as far as predicted, a circle for this text, a line with its interval for the mean of samples;
// below it two marks where the judge puts real texts of either side on average.
function scoreRow(root) {
  const row = add(root, "div", "lm-score");
  const name = add(row, "span", "lm-name"), words = add(row, "span", "lm-said");
  const track = add(row, "div", "lm-track");
  track.setAttribute("role", "img");
  const fill = add(track, "i", "lm-predicted"), span = add(track, "i", "lm-interval");
  const mean = add(track, "i", "lm-mean"), dot = add(track, "i", "lm-text-score");
  const ends = [add(track, "i", "lm-end"), add(track, "i", "lm-end")];
  return (bar) => {
    name.textContent = bar.name;
    name.title = `0: ${bar.negative}; 1: ${bar.positive}`;
    words.textContent = bar.said;
    track.setAttribute("aria-label", `${bar.name}: ${bar.said}; real texts of either side ${bar.ends.join(" and ")}`);
    fill.style.width = `${100 * (bar.predicted ?? 0)}%`;
    fill.classList.toggle("lm-beyond", bar.covered === false);
    place(mean, bar.mean);
    place(span, bar.low);
    if (bar.low !== undefined) span.style.width = `${100 * (bar.high - bar.low)}%`;
    place(dot, bar.text);
    ends.forEach((mark, i) => {
      place(mark, bar.ends[i]);
      mark.title = `real texts: ${i ? bar.positive : bar.negative}, mean score ${bar.ends[i].toFixed(2)}`;
    });
  };
}

function render({ model, el }) {
  const root = add(el, "div", "lm-pane");
  const head = add(root, "p", "lm-mix");
  const letter = add(head, "b", "lm-letter"), mix = add(head, "span", "");
  const page = add(root, "p", "lm-page");
  const prompt = add(page, "span", "lm-prompt"), shared = add(page, "span", "lm-shared"), rest = add(page, "span", "lm-rest");
  const caret = add(page, "span", "lm-caret");
  const error = add(root, "p", "lm-error"), status = add(root, "p", "lm-status");
  error.setAttribute("role", "alert");
  const list = add(root, "div", "lm-scores"), key = add(root, "p", "lm-key"), notes = add(root, "div", "lm-notes");
  for (const [name, words] of [["lm-predicted", "predicted"], ["lm-text-score", "this text, n = 1"], ["lm-mean", "mean of samples"], ["lm-end", "real texts of either side, mean"]]) {
    add(add(key, "span", "", " "), "i", name);
    key.lastChild.append(words);
  }
  const rows = [];

  function frame() {
    const now = model.get("frame");
    root.style.setProperty("--mine", now.colour);
    root.dataset.pane = now.name;
    letter.textContent = now.name;
    mix.textContent = now.mix;
    prompt.textContent = now.prompt;
    shared.textContent = now.shared;
    rest.textContent = now.rest;
    caret.hidden = !now.busy;
    root.classList.toggle("lm-stale", now.stale);
    root.classList.toggle("lm-busy", now.busy);
    page.setAttribute("aria-busy", now.busy);
    error.textContent = now.error;
    error.hidden = !now.error;
    status.textContent = now.status;
    while (rows.length < now.bars.length) rows.push(scoreRow(list));
    now.bars.forEach((bar, i) => rows[i](bar));
    notes.replaceChildren();
    for (const note of now.notes) add(notes, "p", "lm-note", note);
  }

  model.on("change:frame", frame);
  frame();
}

export default { render };
