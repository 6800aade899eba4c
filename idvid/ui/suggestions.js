// Puts what a model suggests into the boxes, but for those that were changed since it was asked for.
// An answer of the server may be seconds old. This runs in the page, where nobody types in between.
(letter, ...shown) => {
  const keep = { __type__: 'update' };
  if (letter === null) return [...shown.map(() => keep), keep];
  const { was, now, methods, said } = letter;
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const impossible = (value) => Array.isArray(value) && !value.every((method) => methods.includes(method));
  // An event that is told twice brings two letters; the second finds what the first wrote.
  const free = (value, i) => same(value, was[i]) || same(value, now[i]) || impossible(value);
  const set = shown.map((value, i) => now[i] !== null && free(value, i));
  const sentence = said[Number(set[0])][Number(set[1])];
  const status = { ...keep, value: sentence, visible: sentence !== '' };
  return [...set.map((yes, i) => (yes ? now[i] : keep)), status];
}
