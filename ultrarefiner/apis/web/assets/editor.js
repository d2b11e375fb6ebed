// The editor of the prompts. The server holds the prompts; this shows them, changes them at once when they are dragged,
// and sends each finished change, which comes back with the refined mask. Coordinates are normalised to the image.
// editor_input.js goes on in the same function.
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

// ---------------------------------------------------------------- to and from the server

function send(action) {
  flush();
  sequence += 1;
  waiting = sequence;
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
    if (answer.result) result = answer.result;
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
  find('name').textContent = image.name;
  const opened = `${image.width} × ${image.height} pixels, opened in ${seconds(image.seconds)}`;
  find('time').textContent = result.seconds === null ? opened : `${opened}; refined in ${seconds(result.seconds)}`;
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
  const keys = document.createElement('span');
  keys.className = 'ur-keys';
  keys.textContent = ' Keys: Tab to a handle, arrows move it, Enter adds a point, Delete removes one.';
  find('hint').replaceChildren(hint(), current().open ? keys : '');
}

function hint() {
  if (!current().open) return 'The coarse network found no object here, and this model refines only what it found.';
  if (!current().valid) return 'The coarse network found nothing here. Draw a box or click a point to begin.';
  if (tool() === 'box') return 'Press and drag to draw the box anew. Its handles resize it, ✥ moves it.';
  return 'Click to add a point. Drag the box, its handles or a point to move them.';
}

const tool = () => (element.querySelector('[name="ur-tool"]:checked') || {}).value;
