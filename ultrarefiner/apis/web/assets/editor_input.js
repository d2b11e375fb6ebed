// What goes on from editor.js: pointer, keys and controls.

// ---------------------------------------------------------------- pointer

function place(event) {
  const frame = find('picture').getBoundingClientRect();
  const inside = (value, low, size) => Math.min(Math.max((value - low) / size, 0), 1);
  return [inside(event.clientX, frame.left, frame.width), inside(event.clientY, frame.top, frame.height)];
}

find('picture').addEventListener('pointerdown', (event) => {
  if (event.button || !event.isPrimary || !current() || !current().open) return;
  const { handle, point } = event.target.dataset;
  const at = place(event);
  drag = { at, x: event.clientX, y: event.clientY, moved: false, before: plain(current()) };
  if (point !== undefined) {
    Object.assign(drag, { what: 'point', index: Number(point) });
    choose(drag.index);
  } else if (handle) {
    Object.assign(drag, { what: 'box', handle });
  } else {
    const draws = tool() === 'box';
    drag.what = draws ? 'draw' : event.target === find('box') ? 'box' : 'none';
    drag.handle = 'move';
    drag.click = !draws;
    choose(null);
  }
  find('picture').setPointerCapture(event.pointerId);
});

find('picture').addEventListener('pointermove', (event) => {
  if (!drag || !event.isPrimary) return;
  if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > CLICK) drag.moved = true;
  if (!drag.moved || drag.what === 'none') return;
  const at = place(event);
  const entry = current();
  if (drag.what === 'point') entry.points[drag.index] = at;
  if (drag.what === 'draw') entry.box = corners(drag.at, at);
  if (drag.what === 'box') entry.box = moved(drag.before.box, drag.handle, at[0] - drag.at[0], at[1] - drag.at[1]);
  drawPrompts();
});

find('picture').addEventListener('pointerup', (event) => {
  if (!drag || !event.isPrimary) return;
  const { what, moved: isMoved, click, index } = drag;
  const entry = current();
  drag = null;
  if (!isMoved) {
    if (click && tool()) addPoint(place(event));
  } else if (what === 'point') {
    send({ do: 'move_point', slot, index, point: plain(entry.points[index]) });
  } else if (what !== 'none') {
    sendBox(entry.box);
  }
});

// Also what a browser says when a finger scrolls the page instead.
find('picture').addEventListener('pointercancel', () => {
  if (drag) prompts.slots[slot] = drag.before;
  drag = null;
  drawPrompts();
});

const least = () => [1 / image.width, 1 / image.height]; // a pixel

function corners(a, b) {
  const [dx, dy] = least();
  const [x0, y0] = [Math.min(a[0], b[0], 1 - dx), Math.min(a[1], b[1], 1 - dy)];
  return [x0, y0, Math.max(a[0], b[0], x0 + dx), Math.max(a[1], b[1], y0 + dy)];
}

function moved(box, handle, dx, dy) {
  let [x0, y0, x1, y1] = box;
  const within = (value, low, high) => Math.min(Math.max(value, low), high);
  if (handle === 'move') {
    dx = within(dx, Math.min(0, -x0), Math.max(0, 1 - x1));
    dy = within(dy, Math.min(0, -y0), Math.max(0, 1 - y1));
    return [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
  }
  const [w, h] = least();
  if (handle.includes('w')) x0 = within(x0 + dx, 0, x1 - w);
  if (handle.includes('e')) x1 = within(x1 + dx, x0 + w, 1);
  if (handle.includes('n')) y0 = within(y0 + dy, 0, y1 - h);
  if (handle.includes('s')) y1 = within(y1 + dy, y0 + h, 1);
  return [x0, y0, x1, y1];
}

function sendBox(box) {
  send({ do: 'move_box', slot, box: plain(box) });
}

function addPoint(at) {
  const kind = tool() === 'box' ? 'positive' : tool();
  if (!model.accepts.includes('points')) return;
  const entry = current();
  entry.valid = true;
  entry.points.push(at);
  entry.labels.push(Number(kind === 'positive'));
  if (!isOn('points')) prompts.kinds.push('points');
  chosen = entry.points.length - 1;
  drawPrompts();
  send({ do: 'add_point', slot, point: at, positive: kind === 'positive' });
}

function choose(index) {
  chosen = index;
  drawPrompts();
}

function removePoint(index) {
  const entry = current();
  if (index === null || index >= entry.points.length) return;
  entry.points.splice(index, 1);
  entry.labels.splice(index, 1);
  chosen = null;
  drawPrompts();
  send({ do: 'remove_point', slot, index });
  find('surface').focus({ preventScroll: true });
}

// ---------------------------------------------------------------- keys

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

find('picture').addEventListener('keydown', (event) => {
  if (!current() || !current().open) return;
  const { handle, point } = event.target.dataset;
  const entry = current();
  const arrow = ARROWS[event.key];
  if (event.key === 'Enter' && event.target === find('surface')) {
    const box = entry.valid && entry.box ? entry.box : [0, 0, 1, 1];
    addPoint([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]);
    find('points').lastChild?.focus({ preventScroll: true });
  } else if ((event.key === 'Delete' || event.key === 'Backspace') && point !== undefined) {
    removePoint(Number(point));
  } else if (arrow && (handle || point !== undefined)) {
    const step = event.shiftKey ? 10 : 1;
    const [dx, dy] = [(arrow[0] * step) / image.width, (arrow[1] * step) / image.height];
    if (handle) {
      entry.box = moved(entry.box, handle, dx, dy);
      sendLater({ do: 'move_box', slot, box: plain(entry.box) });
    } else {
      const index = Number(point);
      const [x, y] = entry.points[index];
      entry.points[index] = [Math.min(Math.max(x + dx, 0), 1), Math.min(Math.max(y + dy, 0), 1)];
      sendLater({ do: 'move_point', slot, index, point: plain(entry.points[index]) });
    }
    drawPrompts();
  } else {
    return;
  }
  event.preventDefault();
});

find('points').addEventListener('focusin', (event) => choose(Number(event.target.dataset.point)));

element.addEventListener('keydown', (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === 'z' && prompts && prompts.changed) {
    event.preventDefault();
    send({ do: 'undo' });
  }
});

// ---------------------------------------------------------------- controls

find('remove').addEventListener('click', () => removePoint(chosen));
find('undo').addEventListener('click', () => send({ do: 'undo' }));
find('reset').addEventListener('click', () => send({ do: 'reset' }));
find('dismiss').addEventListener('click', () => say(''));
find('kinds').addEventListener('change', () => {
  const kinds = [...find('kinds').querySelectorAll('input:checked')].map((input) => input.value);
  send({ do: 'keep', kinds });
});
find('slot').addEventListener('change', (event) => {
  flush();
  slot = Number(event.target.value);
  chosen = null;
  draw();
});
for (const input of element.querySelectorAll('[name="ur-tool"]')) input.addEventListener('change', drawControls);
for (const input of element.querySelectorAll('[data-layer]')) {
  input.addEventListener('change', () => {
    // Of an SVG element there is no property `hidden`.
    find(input.dataset.layer).toggleAttribute('hidden', !input.checked);
  });
}
find('opacity').addEventListener('input', (event) => {
  find('picture').style.setProperty('--opacity', event.target.value / 100);
  find('opacity-value').textContent = `${event.target.value} %`;
});

find('file').addEventListener('change', (event) => {
  open(event.target.files[0]);
  event.target.value = ''; // The same file may be chosen again.
});
find('phantom').addEventListener('change', (event) => {
  if (event.target.value) send({ do: 'phantom', label: event.target.value });
  event.target.value = '';
});
// A file that misses the frame would else replace the page.
for (const name of ['dragover', 'drop']) window.addEventListener(name, (event) => event.preventDefault());
element.addEventListener('dragover', () => find('frame').classList.add('ur-over'));
element.addEventListener('dragleave', (event) => {
  if (!element.contains(event.relatedTarget)) find('frame').classList.remove('ur-over');
});
element.addEventListener('drop', (event) => {
  event.preventDefault();
  find('frame').classList.remove('ur-over');
  open(event.dataTransfer.files[0]);
});

// ---------------------------------------------------------------- begin

find('phantom').append(...model.phantoms.map((label) => new Option(label, label)));
const facts = Object.entries(model.provenance).map(([name, value]) => `${name} ${value}`);
find('model').textContent = [model.name, ...facts].join(' · ');
if (!model.refines) {
  find('note').textContent =
    'This checkpoint is of phase 1: it has no refiner, so there is nothing to refine. Its coarse mask is shown.';
  find('note').hidden = false;
  for (const layer of ['refined', 'prompts']) element.querySelector(`[data-layer="${layer}"]`).closest('label').hidden = true;
}
for (const label of element.querySelectorAll('[data-for]')) label.hidden = !model.accepts.includes(label.dataset.for);
const first = element.querySelector('[data-for]:not([hidden]) input');
if (first) first.checked = true;
watch('value', receive);
draw();
