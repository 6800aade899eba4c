// What the panels have in common: axes, bands, curves and tables as nodes. Read before drift_panel.js
// or comparison_panel.js. Everything a user wrote goes in as text.
const NS = 'http://www.w3.org/2000/svg';
const W = 360, H = 150, LEFT = 30, RIGHT = 8, TOP = 8, BOTTOM = 22, LOW = -0.2, HIGH = 1, BAND_HALF = 0.025;
let tableOpen = false;

function node(tag, attributes, ...children) {
  const made = tag.startsWith('svg:') ? document.createElementNS(NS, tag.slice(4)) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const number = (value) => (value === null || value === undefined ? '–' : value.toFixed(2));
const percent = (value) => (value === null || value === undefined ? '–' : Math.round(100 * value) + '%');
const found = (points) => points.filter((point) => point[1] !== null).map((point) => point[1]);
const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);
const clamp = (value) => Math.max(LOW, Math.min(HIGH, value));

function scales(seconds) {
  return {
    x: (time) => LEFT + (W - LEFT - RIGHT) * Math.min(1, time / seconds),
    y: (value) => TOP + (H - TOP - BOTTOM) * (HIGH - clamp(value)) / (HIGH - LOW),
  };
}

function tickStep(seconds) {
  return [0.25, 0.5, 1, 2, 5, 10].find((step) => seconds / step <= 6) || 10;
}

function grid(seconds, { x, y }) {
  const parts = [];
  for (const value of [0, 0.5, 1]) {
    parts.push(node('svg:line', { class: 'grid', x1: LEFT, x2: W - RIGHT, y1: y(value), y2: y(value) }));
    parts.push(node('svg:text', { class: 'tick', x: LEFT - 5, y: y(value) + 3, 'text-anchor': 'end' }, String(value)));
  }
  for (let time = 0; time <= seconds + 1e-6; time += tickStep(seconds)) {
    const anchor = time + tickStep(seconds) > seconds + 1e-6 ? 'end' : 'middle';
    parts.push(node('svg:text', { class: 'tick', x: x(time), y: H - 7, 'text-anchor': anchor }, `${time} s`));
  }
  return parts;
}

function bands({ ceiling, floor }, { y }) {
  const band = (kind, value) => node('svg:rect', {
    class: kind, x: LEFT, width: W - LEFT - RIGHT,
    y: y(value + BAND_HALF), height: y(value - BAND_HALF) - y(value + BAND_HALF),
  });
  const known = [['ceiling', ceiling], ['floor', floor]].filter(([, value]) => value !== null);
  return known.map(([kind, value]) => band(kind, value));
}

// Missing frames are ticks along the bottom; each row of them belongs to one curve.
function curve({ points, color, dash = '' }, { x, y }, row = 0) {
  let path = '', open = false;
  const parts = [], bottom = H - BOTTOM - 6 * row;
  for (const [time, value] of points) {
    if (value === null) {
      parts.push(node('svg:line', { class: 'missing', x1: x(time), x2: x(time), y1: bottom, y2: bottom - 5 }));
      open = false;
    } else {
      path += `${open ? 'L' : 'M'}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
      open = true;
    }
  }
  const last = points.filter((point) => point[1] !== null).pop();
  parts.push(node('svg:path', { class: 'curve', d: path, stroke: color, 'stroke-dasharray': dash }));
  if (last) parts.push(node('svg:circle', { cx: x(last[0]), cy: y(last[1]), r: 3, fill: color }));
  return parts;
}

function table(caption, head, rows) {
  return node('table', {},
    node('caption', {}, caption),
    node('thead', {}, node('tr', {}, ...head.map((cell) => node('th', { scope: 'col' }, cell)))),
    node('tbody', {}, ...rows.map((row) => node('tr', {},
      ...row.map((cell, i) => node(i ? 'td' : 'th', i ? {} : { scope: 'row' }, cell))))));
}

function details(...tables) {
  const box = node('details', {}, node('summary', {}, 'The numbers as a table'), ...tables);
  box.open = tableOpen;
  box.addEventListener('toggle', () => { tableOpen = box.open; });
  return box;
}

function legend() {
  return node('p', { class: 'legend' },
    node('span', { class: 'key ceiling-key' }), ' their own photos compared with each other ',
    node('span', { class: 'key floor-key' }), ' other people ',
    node('span', { class: 'key missing-key' }), ' not found');
}
