'use strict';
/* Drawing a case. Everything is made of elements and text nodes, never of markup, so no name can become a part of the page. */

const data = JSON.parse(document.getElementById('data').textContent);
const LAYERS = [
  { key: 'image', title: 'Image' },
  { key: 'truth', title: 'Ground truth' },
  { key: 'coarse', title: 'Coarse' },
  { key: 'prompts', title: 'Prompts' },
  { key: 'refined', title: 'Refined' },
  { key: 'errors', title: 'Errors' },
];
const VIEWS = [['one', 'One layer'], ['many', 'Side by side'], ['over', 'Overlay']];
const LEGENDS = {
  image: [],
  truth: [['truth-line', 'ground truth']],
  coarse: [['coarse-line', 'coarse'], ['truth-line', 'ground truth']],
  prompts: [['prompts-line', 'box and points'], ['coarse-line', 'coarse']],
  refined: [['refined-line', 'refined'], ['truth-line', 'ground truth']],
  errors: [['both', 'right (true positive)'], ['extra', 'too much (false positive)'], ['lacking', 'missed (false negative)']],
};
let serial = 0;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(parent, tag, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

/* The stage that a case ends with: phase 1 has no refined one. */
const lastStage = (c) => ('refined' in c.values ? 'refined' : 'coarse');

/* What keeps a layer from being shown, '' if nothing does. */
function reason(c, layer) {
  if (layer === 'image') return data.pictures[c.picture].uri ? '' : 'the image was not found';
  if (layer === 'prompts') {
    if (lastStage(c) === 'coarse') return 'this run has no prompts';
    return c.prompts ? '' : 'the results hold no prompts';
  }
  if (layer === 'errors') return reason(c, 'truth') || reason(c, lastStage(c));
  if (layer === 'refined' && lastStage(c) === 'coarse') return 'this run has no refined stage';
  return layer in c.layers ? '' : layer === 'truth' ? 'the ground truth was not found' : `the results hold no ${layer} mask`;
}

/* A picture of one layer; with options.over of any number of them, one over the other. */
function picture(c, layers, options = {}) {
  const { uri, width, height } = data.pictures[c.picture];
  const [w, h] = [width || 4, height || 3];
  const box = make('div', { class: 'picture' });
  const names = layers.map((key) => LAYERS.find((layer) => layer.key === key).title.toLowerCase());
  const svg = draw(box, 'svg', { viewBox: `0 0 ${w} ${h}`, role: 'img', 'aria-label': `${c.name}: ${names.join(', ')}` });
  if (uri && (!options.over || layers.includes('image'))) draw(svg, 'image', { href: uri, width: w, height: h });
  const shown = layers.filter((layer) => !reason(c, layer));
  const missing = options.over ? '' : reason(c, layers[0]);
  if (missing) {
    draw(svg, 'text', { x: w / 2, y: h / 2, 'text-anchor': 'middle', class: 'missing', 'font-size': w / 22 }).textContent = missing;
  }
  for (const layer of shown) {
    if (layer === 'errors') errors(svg, c, options.stage || lastStage(c), w, h);
    else if (layer === 'prompts') prompts(svg, c, w, h, !options.over);
    else if (layer !== 'image') mask(svg, c, layer, options.over);
  }
  return box;
}

function mask(svg, c, layer, outlineOnly) {
  draw(svg, 'path', { d: c.layers[layer], class: outlineOnly ? `${layer} outline` : layer });
  if (!outlineOnly && layer !== 'truth' && c.layers.truth) draw(svg, 'path', { d: c.layers.truth, class: 'truth outline' });
}

/* Everything of the mask in one colour, of the truth in another above it, and what they share in a third above both. */
function errors(svg, c, stage, w, h) {
  const group = draw(svg, 'g', { class: 'errors' });
  const clip = `clip-${serial++}`;
  draw(draw(group, 'clipPath', { id: clip }), 'path', { d: c.layers.truth, 'clip-rule': 'evenodd' });
  draw(group, 'path', { d: c.layers[stage], class: 'extra' });
  draw(group, 'path', { d: c.layers.truth, class: 'lacking' });
  draw(group, 'path', { d: c.layers[stage], class: 'both', 'clip-path': `url(#${clip})` });
  if (c.layers.ignored) draw(group, 'path', { d: c.layers.ignored, class: 'ignored' });
}

function prompts(svg, c, w, h, alone) {
  if (alone && c.layers.coarse) draw(svg, 'path', { d: c.layers.coarse, class: 'coarse outline' });
  for (const slot of validSlots(c)) prompt(draw(svg, 'g', { class: 'prompts' }), slot, w, h);
}

function prompt(group, slot, w, h) {
  if (slot.box) {
    const [x0, y0, x1, y1] = slot.box;
    draw(group, 'rect', { x: x0 * w, y: y0 * h, width: Math.max(0, (x1 - x0) * w), height: Math.max(0, (y1 - y0) * h) });
  }
  const radius = Math.max(w, h) / 48;
  (slot.points || []).forEach(([x, y], index) => {
    const positive = slot.labels[index] === 1;
    const point = draw(group, 'g', { class: positive ? 'positive' : 'negative', transform: `translate(${x * w} ${y * h})` });
    draw(point, 'circle', { r: radius });
    draw(point, 'line', { x1: -radius * 0.55, x2: radius * 0.55, y1: 0, y2: 0 });
    if (positive) draw(point, 'line', { x1: 0, x2: 0, y1: -radius * 0.55, y2: radius * 0.55 });
  });
}

/* Those with something to refine; a class has several where its objects are told apart. */
const validSlots = (c) => c.prompts.filter((slot) => slot.valid);

/* What the prompts are, in words. */
function promptNote(c) {
  if (!c.prompts) return '';
  const slots = validSlots(c);
  if (!slots.length) return 'none: the coarse mask is empty';
  const boxes = slots.filter((slot) => slot.box).length;
  const points = slots.reduce((sum, slot) => sum + (slot.points || []).length, 0);
  const counted = [boxes && (boxes > 1 ? `${boxes} boxes` : 'box'), points && `${points} point${points > 1 ? 's' : ''}`];
  return counted.filter(Boolean).join(', ') || 'mask only';
}

function legend(element, entries) {
  element.replaceChildren(...entries.map(([look, text]) => make('span', {}, make('i', { class: `swatch ${look}` }), text)));
}

function fixed(value, digits, sign = false) {
  if (value === null || value === undefined) return '–';
  const text = value.toFixed(digits);
  const plain = Number(text) === 0 ? (0).toFixed(digits) : text;
  return (sign && Number(plain) > 0 ? '+' : '') + plain.replace('-', '−');
}
