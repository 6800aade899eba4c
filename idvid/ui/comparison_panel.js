// Draws the methods against each other, one chart per character, with the help of charts.js.
function key({ label, color, dash, points }) {
  const line = { class: 'curve', x1: 0, x2: 28, y1: 5, y2: 5, stroke: color, 'stroke-dasharray': dash };
  return node('li', {},
    node('svg:svg', { class: 'key-line', viewBox: '0 0 28 10', 'aria-hidden': 'true' }, node('svg:line', line)),
    node('span', {}, label),
    node('span', { class: 'numbers' }, node('small', {}, `mean ${number(mean(found(points)))}`)));
}

function chart({ name, ceiling, floor, curves }, seconds) {
  const means = curves.map(({ label, points }) => `${label} mean ${number(mean(found(points)))}`);
  const scale = scales(seconds);
  return node('figure', {},
    node('figcaption', {}, node('b', {}, name)),
    node('svg:svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': `${name}, methods compared: ${means.join(', ')}` },
      ...bands({ ceiling, floor }, scale), ...grid(seconds, scale),
      ...curves.flatMap((each, row) => curve(each, scale, row))),
    node('ul', { class: 'keys' }, ...curves.map(key)));
}

function verdict(characters) {
  const rows = characters.flatMap(({ name, curves }) => curves.map((c) =>
    [`${name}, ${c.label}`, percent(c.presence), number(c.mean), number(c.drift), percent(c.swap)]));
  return table('Per person and method', ['Person, method', 'Found in', 'Mean', 'Drift', 'Mistaken'], rows);
}

function draw() {
  const root = element.querySelector('.drift');
  if (!root) return;
  const { characters = [], seconds = 1 } = props.value || {};
  root.replaceChildren(
    node('div', { class: 'charts' }, ...characters.map((character) => chart(character, seconds))),
    legend(), details(verdict(characters)));
}

draw();
watch('value', draw);
