// The random-scaling explorer's view: a distribution over seeds, their curves, statistics over scale, and numbers in words.
const PANELS = ["mode", "mean", "p_success", "mean_success"];

function say(list, lines) {
  list.replaceChildren();
  for (const { title, value, detail, warn } of lines) {
    const kind = warn ? " rs-warn" : "";
    add(list, "div", `rs-term${kind}`, title);
    const text = add(list, "div", `rs-words${kind}`, value);
    if (detail) {
      text.append(" ");
      add(text, "small", "", detail);
    }
  }
}

function render({ model, el }) {
  const root = add(el, "div", "rs-explorer");
  const ask = (field, value) => {
    model.set("request", { field, value, time: performance.now() });
    model.save_changes();
  };
  const update = { distribution: distribution(root, model, ask) };
  const note = add(root, "p", "rs-note");
  note.setAttribute("role", "status");
  const list = add(root, "div", "rs-readouts"), charts = add(root, "div", "rs-charts");
  const left = add(charts, "div", "rs-left"), right = add(charts, "div", "rs-right");
  update.bundle = bundle(left, model, ask);
  const four = add(right, "div", "rs-four"), bands = add(right, "p", "rs-sub"), why = add(right, "p", "rs-sub rs-why");
  const panels = PANELS.map((name) => panel(four, model, ask, name));
  update.afford = afford(left, model, ask);
  let drawn = null;

  function frame() {
    const now = model.get("frame");
    update.distribution();
    update.bundle();
    for (const one of panels) one();
    if (drawn !== model.get("afford")) update.afford();
    drawn = model.get("afford");
    say(list, now.readouts);
    bands.textContent = model.get("panels").note;
    why.textContent = model.get("panels").why;
    root.dataset.number = now.number;
  }

  function busy() {
    root.classList.toggle("rs-busy", model.get("busy"));
    note.textContent = model.get("busy") ? "training eight fresh seeds …" : "";
  }

  model.on("change:frame", frame);
  model.on("change:busy", busy);
  frame();
  busy();
}

export default { render };
