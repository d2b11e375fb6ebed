// The editor of the prompts. The server holds the prompts; this shows them, changes them at once when they are dragged,
// and sends each finished change, which comes back with the refined mask. Coordinates are normalised to the image.
const find = (name) => element.querySelector(`[data-id="${name}"]`);
// What comes through props is watched: it is copied before it is changed.
const plain = (value) => JSON.parse(JSON.stringify(value));
const model = plain(props.value);
const CLICK = 4; // pixels that a pointer may move in a click
const PAUSE = 300; // milliseconds after the last key before a change is sent

let image = null; // what was opened: name, width, height, ...
let prompts = null; // slots, kinds, present, changed
let result = null;
let slot = 0;
let chosen = null; // index of the chosen point
let drag = null;
let sequence = 0;
let waiting = 0; // the latest action that has no answer yet
let later = null; // a change by keys that is not sent yet
let sentAt = 0;

// ---------------------------------------------------------------- to and from the server

function send(action) {
  flush();
  sequence += 1;
  waiting = sequence;
  sentAt = performance.now();
  setTimeout(showBusy, 250);
  trigger('act', { ...action, seq: sequence });
}

function sendLater(action) {
  if (later && later.key !== key(action)) flush();
  if (later) clearTimeout(later.timer);
  later = { action, key: key(action), timer: setTimeout(flush, PAUSE) };
}

function flush() {
  if (!later) return;
  const { action, timer } = later;
  clearTimeout(timer);
  later = null;
  send(action);
}

const key = (action) => [action.do, action.slot, action.index].join();

function receive() {
  const answer = plain(props.value);
  if (answer.seq === undefined) return;
  if (answer.seq < waiting) {
    // A newer change is on its way: what is shown of the prompts is ahead of this answer.
    if (answer.result) result = answer.result;
  } else {
    waiting = 0;
    showBusy();
    if (answer.image) opened(answer.image);
    if (answer.prompts && !drag && !later) prompts = answer.prompts;
    if (answer.result) result = { ...answer.result, whole: performance.now() - sentAt };
  }
  say(answer.message || '');
  draw();
}

function opened(next) {
  image = next;
  chosen = null;
  slot = 0;
  find('image').src = image.picture;
  find('image').alt = `Image ${image.name}`;
  find('surface').setAttribute('aria-label', `Image ${image.name}`);
  find('picture').style.setProperty('--ratio', image.width / image.height);
  find('layers').setAttribute('viewBox', `0 0 ${image.shown[0]} ${image.shown[1]}`);
}

async function open(file) {
  if (!file) return;
  if (file.size > model.max_file_mb * 1e6) {
    say(`${file.name} has ${Math.round(file.size / 1e6)} MB, and this page takes up to ${model.max_file_mb}; save it smaller.`);
    return;
  }
  say('');
  find('busy').hidden = false;
  try {
    const { path } = await upload(file);
    send({ do: 'open', path, name: file.name });
  } catch (error) {
    find('busy').hidden = true;
    say(`${file.name} could not be sent to the server: ${error.message || error}. Is it still running?`);
  }
}

// ---------------------------------------------------------------- what is shown

function say(text) {
  find('message').textContent = text;
  find('alert').hidden = !text;
}

function showBusy() {
  find('busy').hidden = !waiting;
  find('frame').setAttribute('aria-busy', String(Boolean(waiting)));
}

const percent = (value) => `${(100 * value).toFixed(4)}%`;
const current = () => prompts && prompts.slots[slot];
const isOn = (kind) => Boolean(prompts) && prompts.kinds.includes(kind);
// With several objects a class, the slots of a class follow one another.
const classOf = (index) => (prompts ? Math.floor((index * model.classes.length) / prompts.slots.length) : index);

function draw() {
  find('drop').hidden = Boolean(image);
  for (const name of ['picture', 'side', 'hint']) find(name).hidden = !image;
  find('tools').hidden = !image || !prompts;
  if (!image) return;
  drawSlots();
  drawMasks();
  drawPrompts();
  drawFacts();
  drawControls();
}

function drawSlots() {
  const select = find('slot');
  const names = prompts ? prompts.slots.map((entry) => entry.name) : model.classes;
  const openSlots = names.map((_, index) => !prompts || prompts.slots[index].open);
  if (!openSlots[slot]) slot = Math.max(0, openSlots.indexOf(true));
  const options = names.map((name, index) => (openSlots[index] ? [name, index] : null)).filter(Boolean);
  find('slot-field').hidden = options.length < 2;
  const wanted = JSON.stringify(options);
  if (select.dataset.options !== wanted) {
    select.dataset.options = wanted;
    select.replaceChildren(...options.map(([name, index]) => new Option(name, index)));
  }
  select.value = slot;
}

function drawMasks() {
  const k = classOf(slot);
  find('coarse').setAttribute('d', image.coarse.paths[k]);
  find('refined').setAttribute('d', model.refines ? result.paths[k] : '');
  const others = result.paths.map((path, index) => {
    if (index === k || !path) return null;
    const shape = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    const colour = `rgb(${model.palette[index].join(' ')})`;
    Object.entries({ d: path, fill: 'none', stroke: colour }).forEach(([name, value]) => shape.setAttribute(name, value));
    return shape;
  });
  find('others').replaceChildren(...others.filter(Boolean));
}

function drawPrompts() {
  const entry = current();
  const box = find('box');
  const shown = entry && entry.open && (entry.valid || drag);
  box.hidden = !shown || !entry.box;
  if (!box.hidden) placeBox(entry.box);
  box.classList.toggle('ur-off', !isOn('boxes'));
  const points = shown ? entry.points : [];
  const holder = find('points');
  while (holder.children.length > points.length) holder.lastChild.remove();
  points.forEach((point, index) => drawPoint(holder, point, index, entry.labels[index]));
  if (chosen !== null && chosen >= points.length) chosen = null;
  find('remove').disabled = chosen === null;
}

function placeBox([x0, y0, x1, y1]) {
  const { style, classList } = find('box');
  style.left = percent(x0);
  style.top = percent(y0);
  style.width = percent(x1 - x0);
  style.height = percent(y1 - y0);
  const { clientWidth, clientHeight } = find('picture');
  classList.toggle('ur-small', (x1 - x0) * clientWidth < 110 || (y1 - y0) * clientHeight < 70);
}

function drawPoint(holder, point, index, label) {
  let button = holder.children[index];
  if (!button) {
    button = document.createElement('button');
    button.type = 'button';
    button.append(document.createElement('i'));
    holder.append(button);
  }
  const kind = label ? 'object' : 'background';
  button.className = `ur-point ${label ? 'ur-plus' : 'ur-minus'}`;
  button.firstChild.className = `ur-dot ${label ? 'ur-plus' : 'ur-minus'}`;
  button.classList.toggle('ur-chosen', index === chosen);
  button.classList.toggle('ur-off', !isOn('points'));
  button.dataset.point = index;
  button.style.left = percent(point[0]);
  button.style.top = percent(point[1]);
  const [x, y] = [point[0] * image.width, point[1] * image.height].map(Math.round);
  button.setAttribute('aria-label', `Point ${index + 1}, ${kind}, at ${x}, ${y}; Delete removes it`);
}

function drawFacts() {
  const k = classOf(slot);
  const total = image.width * image.height;
  const quality = result.quality && result.quality[k];
  find('quality-fact').hidden = typeof quality !== 'number';
  if (typeof quality === 'number') find('quality').textContent = Math.min(Math.max(quality, 0), 1).toFixed(3);
  find('area-name').textContent = model.refines ? 'Area refined' : 'Area';
  find('coarse-fact').hidden = !model.refines;
  showArea(find('area'), result.areas[k], total);
  showArea(find('coarse-area'), image.coarse.areas[k], total);
  const opened = `${image.width} × ${image.height} pixels, opened in ${seconds(image.seconds)}`;
  find('time').textContent = result.seconds === null ? `${opened}.` : `Refined in ${seconds(result.seconds)}. ${opened}.`;
  find('download').href = result.mask;
  find('download').download = result.file_name;
}

function showArea(target, area, total) {
  const share = document.createElement('small');
  share.textContent = `${((100 * area) / total).toFixed(2)} % of the image`;
  target.replaceChildren(`${area.toLocaleString('en')} px`, share);
}

const seconds = (value) => (value < 1 ? `${Math.max(1, Math.round(1000 * value))} ms` : `${value.toFixed(1)} s`);

function drawControls() {
  find('kinds').hidden = !prompts;
  find('picture').classList.toggle('ur-only', !prompts);
  if (!prompts) {
    find('hint').textContent = '';
    return;
  }
  find('undo').disabled = find('reset').disabled = !prompts.changed;
  for (const input of find('kinds').querySelectorAll('input')) {
    const kind = input.value;
    input.checked = isOn(kind);
    input.disabled = !prompts.present.includes(kind);
    input.closest('label').hidden = !model.accepts.includes(kind) || (kind === 'masks' && input.disabled);
  }
  find('picture').classList.toggle('ur-draws', tool() === 'box');
  const empty = !current().valid;
  find('hint').textContent = !current().open
    ? 'The coarse network found no object, and this model refines only what it found.'
    : empty
      ? 'Nothing was found here to refine. Draw a box or click a point to begin.'
      : tool() === 'box'
        ? 'Press and drag to draw the box anew. Handles resize it; ✥ moves it.'
        : 'Click to add a point; drag the box or its handles to change it. Keys: Tab to a handle, arrows move it, Enter adds a point, Delete removes one.';
}

const tool = () => (element.querySelector('[name="ur-tool"]:checked') || {}).value;

// ---------------------------------------------------------------- pointer

function place(event) {
  const frame = find('picture').getBoundingClientRect();
  const inside = (value, low, size) => Math.min(Math.max((value - low) / size, 0), 1);
  return [inside(event.clientX, frame.left, frame.width), inside(event.clientY, frame.top, frame.height)];
}

find('picture').addEventListener('pointerdown', (event) => {
  if (event.button || !current() || !current().open) return;
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
  // A finger that scrolls the page keeps its meaning.
  if (drag.what !== 'none') find('picture').setPointerCapture(event.pointerId);
});

find('picture').addEventListener('pointermove', (event) => {
  if (!drag) return;
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
  if (!drag) return;
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
