// Values over the simplex as pixels; put before triangle.js, which draws upon them.
const CORNERS = { 2: [[32, 54], [368, 54]], 3: [[200, 34], [32, 325], [368, 325]] };
const HEIGHT = { 2: 108, 3: 366 };

function floats(view) {
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

function barycentric(corners, x, y) {
  const [[x1, y1], [x2, y2], third] = corners;
  if (!third) {
    const t = (x - x1) / (x2 - x1);
    return [1 - t, t];
  }
  const [x3, y3] = third;
  const whole = (y2 - y3) * (x1 - x3) + (x3 - x2) * (y1 - y3);
  const a = ((y2 - y3) * (x - x3) + (x3 - x2) * (y - y3)) / whole;
  const b = ((y3 - y1) * (x - x3) + (x1 - x3) * (y - y3)) / whole;
  return [a, b, 1 - a - b];
}

// Value at weights a, joined linearly between the points of a simplex grid.
function joined(a, segments, at) {
  if (a.length === 2) {
    const i = Math.min(Math.floor(a[0] * segments), segments - 1), f = a[0] * segments - i;
    return (1 - f) * at([i, segments - i]) + f * at([i + 1, segments - i - 1]);
  }
  const scaled = a.map((v) => Math.max(v, 0) * segments);
  const low = scaled.map(Math.floor), part = scaled.map((v, i) => v - low[i]);
  const rest = Math.round(part[0] + part[1] + part[2]);
  if (rest === 0) return at(low);
  const up = rest === 1;  // a cell that points up is left by one step in one direction, the other kind by steps in two
  return low.reduce((sum, _, i) => {
    const corner = low.map((v, j) => v + ((i === j) === up ? 1 : 0));
    return sum + (up ? part[i] : 1 - part[i]) * at(corner);
  }, 0);
}

function nearest(a, points, values, m) {
  let best = Infinity, value = 0;
  for (let g = 0; g < values.length; g++) {
    let away = 0;
    for (let i = 0; i < m; i++) away += (a[i] - points[g * m + i]) ** 2;
    if (away < best) [best, value] = [away, values[g]];
  }
  return value;
}

function sampler(backdrop, m) {
  const points = floats(backdrop.weights), values = floats(backdrop.values), n = backdrop.segments;
  if (!n) return (a) => nearest(a, points, values, m);
  const table = new Map();
  values.forEach((value, g) => table.set(Math.round(points[g * m] * n) * (n + 1) + Math.round(points[g * m + 1] * n), value));
  return (a) => joined(a, n, (k) => table.get(k[0] * (n + 1) + k[1]));
}

function paint(canvas, backdrop, corners, m) {
  const scale = 2, width = 400 * scale, height = HEIGHT[m] * scale;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const colours = new Uint8Array(backdrop.colours.buffer, backdrop.colours.byteOffset, 768);
  const value = sampler(backdrop, m), span = backdrop.high - backdrop.low || 1, edge = m === 2 ? 9 : Infinity;
  // Levels of this row of pixels and of the two above it: a contour is two pixels wide, or it would be dotted when shrunk.
  const rows = [0, 1, 2].map(() => new Int16Array(width).fill(-1));
  for (let py = 0; py < height; py++) {
    const row = rows[py % 3].fill(-1), above = rows[(py + 1) % 3];
    for (let px = 0; px < width; px++) {
      const a = barycentric(corners, px / scale, py / scale);
      if (Math.min(...a) < 0 || Math.abs(py / scale - corners[0][1]) > edge && m === 2) continue;
      const shade = Math.min(Math.max((value(a) - backdrop.low) / span, 0), 1);
      row[px] = Math.floor(shade * 10);
      const differs = (level) => level >= 0 && level !== row[px];
      const line = backdrop.segments && (differs(px > 1 ? row[px - 2] : -1) || differs(above[px]));
      const from = 3 * Math.round(255 * shade), to = 4 * (py * width + px);
      for (let c = 0; c < 3; c++) image.data[to + c] = colours[from + c] * (line ? 0.85 : 1);
      image.data[to + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}
