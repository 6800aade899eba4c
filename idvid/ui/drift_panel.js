// Draws one small chart per character from props.value, with the help of charts.js.
const HINT = 'Identity similarity appears here while the video is made.';

function chart(character, seconds) {
  const values = found(character.points), now = values.at(-1) ?? null;
  const label = `${character.name}: identity similarity over time, now ${number(now)}, mean ${number(mean(values))}`;
  const scale = scales(seconds);
  return node('figure', {},
    node('figcaption', {},
      node('span', { class: 'swatch', style: `background:${character.color}` }),
      node('b', {}, character.name),
      node('span', { class: 'numbers' }, `${number(now)} `, node('small', {}, `mean ${number(mean(values))}`))),
    node('svg:svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': label },
      ...bands(character, scale), ...grid(seconds, scale), ...curve(character, scale)));
}

function verdict(characters) {
  return table('So far, per person', ['Person', 'Found in', 'Mean', 'Drift', 'Mistaken'],
    characters.map((c) => [c.name, percent(c.presence), number(c.mean), number(c.drift), percent(c.swap)]));
}

function perSecond(characters) {
  const end = Math.max(...characters.map((c) => (c.points.length ? c.points.at(-1)[0] : 0)));
  const rows = [];
  for (let second = 0; second <= end; second += 1) {
    const inside = (c) => c.points.filter(([time]) => time >= second && time < second + 1);
    rows.push([`${second} to ${second + 1}`, ...characters.map((c) => number(mean(found(inside(c)))))]);
  }
  return table('Mean similarity per second', ['Seconds', ...characters.map((c) => c.name)], rows);
}

function draw() {
  const root = element.querySelector('.drift');
  if (!root) return;
  const { characters = [], seconds = 1 } = props.value || {};
  if (!characters.length) {
    root.replaceChildren(node('p', { class: 'hint' }, HINT));
    return;
  }
  root.replaceChildren(
    node('div', { class: 'charts' }, ...characters.map((character) => chart(character, seconds))),
    legend(), details(verdict(characters), perSecond(characters)));
}

draw();
watch('value', draw);
