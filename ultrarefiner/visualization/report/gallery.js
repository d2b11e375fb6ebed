'use strict';
/* The gallery: sorting, filtering, the large view of a case, keys and anchors. */

(() => {
  if (!data.cases.length) return;
  const byId = (id) => document.getElementById(id);
  const find = byId('find');
  const dialog = byId('case');
  const dice = data.metrics.findIndex((metric) => metric.name === 'Dice');
  const score = (c, stage) => c.values[stage]?.[dice] ?? null;
  const last = (c) => score(c, lastStage(c));
  const stages = ['coarse', 'refined', 'delta'].filter((stage) => data.cases.some((c) => stage in c.values));
  const two = stages.includes('delta');
  const change = (c) => score(c, 'delta') ?? 0;
  const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }) || a.run.localeCompare(b.run);
  const SORTS = [
    ['Worst first', (a, b) => last(a) - last(b)],
    ['Best first', (a, b) => last(b) - last(a)],
    ...(two ? [['Most improved first', (a, b) => change(b) - change(a)], ['Most spoiled first', (a, b) => change(a) - change(b)]] : []),
    ['By name', byName],
    ['Smallest lesion first', (a, b) => a.share - b.share],
    ['Largest lesion first', (a, b) => b.share - a.share],
  ];
  const SIZES = { none: 'no lesion', small: 'small', medium: 'medium', large: 'large' };
  const OUTCOMES = {
    win: ['won', (c) => c.outcome === 'win'],
    tie: ['tied', (c) => c.outcome === 'tie'],
    loss: ['lost', (c) => c.outcome === 'loss'],
    missed: ['missed (empty mask)', (c) => c.missed],
    invented: ['invented (nothing is there)', (c) => c.invented],
  };
  const has = (layer) => data.cases.some((c) => !reason(c, layer));
  const several = (key) => new Set(data.cases.map((c) => c[key])).size > 1;
  const [severalRuns, severalLabels, severalSets] = [several('run'), several('label'), several('dataset')];
  let galleryLayer = ['errors', lastStage(data.cases[0]), 'image'].find(has) || 'image';
  let [view, layer, errorStage, over] = ['one', galleryLayer, null, new Set(['image', 'truth', 'coarse', 'refined'])];
  let [order, current, opener] = [[], null, null];

  /* --- gallery --------------------------------------------------------------------------------------------------- */

  function fill(select, entries, all) {
    const options = entries.map(([value, text]) => make('option', { value }, text));
    select.replaceChildren(...(all ? [make('option', { value: '' }, all)] : []), ...options);
  }

  function setUp() {
    fill(byId('sort'), SORTS.map(([text], index) => [index, text]));
    fill(byId('run'), data.runs.map((run) => [run, run]), 'all');
    fill(byId('label'), [...new Set(data.cases.map((c) => c.label))].map((label) => [label, label]), 'all');
    fill(byId('stratum'), Object.entries(SIZES).filter(([key]) => data.cases.some((c) => c.stratum === key)), 'all');
    const outcomes = Object.entries(OUTCOMES).filter(([, [, test]]) => data.cases.some(test));
    fill(byId('outcome'), outcomes.map(([key, [text]]) => [key, text]), 'all');
    byId('run-field').hidden = !severalRuns;
    byId('label-field').hidden = !severalLabels;
    buttons(byId('layers'), LAYERS.map(({ key, title }, index) => [key, title, `${title} (${index + 1})`]), setGalleryLayer);
    buttons(byId('case-layers'), LAYERS.map(({ key, title }, index) => [key, title, `${title} (${index + 1})`]), setLayer);
    buttons(byId('case-views'), VIEWS.map(([key, title]) => [key, title, `${title} (V)`]), setView);
    for (const id of ['sort', 'run', 'label', 'stratum', 'outcome']) byId(id).addEventListener('change', show);
    find.addEventListener('input', show);
    byId('reset').addEventListener('click', reset);
    byId('previous').addEventListener('click', () => step(-1));
    byId('next').addEventListener('click', () => step(1));
    byId('close').addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', closed);
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
    document.addEventListener('keydown', pressed);
    window.addEventListener('hashchange', follow);
    window.addEventListener('resize', () => dialog.open && view === 'many' && render());
    reset();
    byId('controls').hidden = false;
  }

  function buttons(group, entries, choose) {
    for (const [key, text, title] of entries) {
      const button = make('button', { type: 'button', 'data-key': key, title, 'aria-pressed': 'false' }, text);
      button.addEventListener('click', () => choose(key));
      group.append(button);
    }
  }

  function reset() {
    for (const id of ['label', 'stratum', 'outcome']) byId(id).value = '';
    // The same image by several runs, one below the other, is of use only when asked for.
    byId('run').value = data.cases.length > new Set(data.cases.map((c) => `${c.picture}/${c.label}`)).size ? data.runs[0] : '';
    byId('sort').value = 0;
    find.value = '';
    show();
  }

  function matches(c) {
    const [run, label, stratum, outcome] = ['run', 'label', 'stratum', 'outcome'].map((id) => byId(id).value);
    const text = find.value.trim().toLowerCase();
    return (!run || c.run === run) && (!label || c.label === label) && (!stratum || c.stratum === stratum)
      && (!outcome || OUTCOMES[outcome][1](c)) && (!text || `${c.dataset} ${c.name} ${c.label}`.toLowerCase().includes(text));
  }

  function show() {
    order = data.cases.filter(matches).sort((a, b) => SORTS[byId('sort').value][1](a, b) || byName(a, b));
    byId('count').textContent = `${order.length} of ${data.cases.length} cases`;
    press(byId('layers'), (key) => key === galleryLayer, (key) => !has(key));
    legend(byId('gallery-legend'), LEGENDS[galleryLayer]);
    byId('cards').replaceChildren(...order.map(card));
  }

  function card(c) {
    const scores = make('span', { class: 'scores' }, make('span', {}, ['coarse', 'refined'].filter((s) => s in c.values).map((s) => fixed(score(c, s), 3)).join(' → ')));
    if ('delta' in c.values) scores.append(make('span', { class: verdict(change(c), true, 3) }, fixed(change(c), 3, true)));
    const about = [severalRuns && !byId('run').value && c.run, severalLabels && c.label, severalSets && c.dataset].filter(Boolean).join(' · ');
    const text = make('span', { class: 'case-text' }, make('strong', {}, c.name), scores, ...(about ? [make('small', {}, about)] : []));
    text.style.display = 'block';
    return make('a', { class: 'case-card', href: `#${c.id}`, id: c.id }, picture(c, [galleryLayer]), text);
  }

  function verdict(value, higher, digits) {
    const rounded = Number(value.toFixed(digits));
    return rounded === 0 ? '' : rounded > 0 === higher ? 'better' : 'worse';
  }

  function press(group, isPressed, isDisabled = () => false) {
    for (const button of group.children) {
      button.setAttribute('aria-pressed', String(Boolean(isPressed(button.dataset.key))));
      button.disabled = isDisabled(button.dataset.key);
    }
  }

  function setGalleryLayer(key) {
    if (!has(key)) return;
    galleryLayer = key;
    show();
  }

  /* --- the large view -------------------------------------------------------------------------------------------- */

  function open(c) {
    current = c;
    if (!dialog.open) {
      opener = document.activeElement;
      layer = view === 'one' && reason(c, layer) ? 'image' : layer;
      dialog.showModal();
    }
    byId('case-title').textContent = c.name;
    const place = order.includes(c) ? `, ${order.indexOf(c) + 1} of ${order.length}` : '';
    byId('case-about').textContent = [c.dataset, severalLabels && c.label, severalRuns && c.run].filter(Boolean).join(' · ') + place;
    metricsTable(c);
    facts(c);
    others(c);
    render();
  }

  function render() {
    const c = current;
    const stage = byId('case-stage');
    const parts = view === 'many' ? panels(c) : [];
    stage.className = view === 'many' ? 'many' : '';
    stage.style.gridTemplateColumns = '';
    if (view === 'many') arrange(stage, parts, data.pictures[c.picture]);
    else if (view === 'over') stage.replaceChildren(picture(c, LAYERS.map(({ key }) => key).filter((key) => over.has(key)), { over: true }));
    else stage.replaceChildren(picture(c, [layer], { stage: shownErrors(c) }));
    const pressed = { one: (key) => key === layer, many: () => false, over: (key) => over.has(key) }[view];
    press(byId('case-layers'), pressed, (key) => Boolean(reason(c, key)));
    for (const button of byId('case-layers').children) {
      const index = LAYERS.findIndex(({ key }) => key === button.dataset.key);
      button.title = reason(c, button.dataset.key) || `${LAYERS[index].title} (${index + 1})`;
      if (button.dataset.key === 'errors') button.textContent = view === 'one' && layer === 'errors' && two ? `Errors of ${shownErrors(c)}` : 'Errors';
    }
    press(byId('case-views'), (key) => key === view);
    const drawn = LAYERS.map(({ key }) => key).filter((key) => !reason(c, key) && (view !== 'over' || over.has(key)));
    const lines = [['truth', 'ground truth'], ['coarse', 'coarse'], ['refined', 'refined'], ['prompts', 'prompts']];
    const all = lines.filter(([key]) => drawn.includes(key)).map(([key, text]) => [`${key}-line`, text]);
    const of = view === 'one' ? LEGENDS[layer] : [...all, ...(drawn.includes('errors') ? LEGENDS.errors : [])];
    legend(byId('case-legend'), c.layers.ignored && of.some(([look]) => look === 'both') ? [...of, ['ignored', 'not counted']] : of);
  }

  /* As many columns as make the pictures largest without scrolling; two on a telephone, where scrolling is natural. */
  function arrange(stage, parts, { width, height }) {
    stage.replaceChildren(...parts);
    if (window.innerWidth <= 760) return;
    const [gap, caption, inner] = [16, 32, { w: stage.clientWidth - 40, h: stage.clientHeight - 40 }];
    const tall = (n) => Math.ceil(parts.length / n) * ((((inner.w - gap * (n - 1)) / n) * (height || 3)) / (width || 4) + caption + gap) - gap;
    const columns = [1, 2, 3, 4].find((n) => tall(n) <= inner.h) || 4;
    stage.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  }

  function shownErrors(c) {
    return errorStage && errorStage in c.layers ? errorStage : lastStage(c);
  }

  function panels(c) {
    const parts = LAYERS.map(({ key, title }) => [key, title, null]).filter(([key]) => !reason(c, key) && key !== 'errors');
    if (!reason(c, 'errors')) {
      for (const stage of ['coarse', 'refined'].filter((s) => s in c.layers)) parts.push(['errors', `Errors of ${stage}`, stage]);
    }
    return parts.map(([key, title, stage]) => {
      const button = make('button', { type: 'button', 'aria-label': `${title}: large` }, picture(c, [key], { stage }));
      button.addEventListener('click', () => {
        [view, layer, errorStage] = ['one', key, stage];
        render();
        byId('case-layers').querySelector(`[data-key="${key}"]`).focus();
      });
      const value = stage || (key in c.values ? key : null);
      return make('figure', {}, button, make('figcaption', {}, value ? `${title}, Dice ${fixed(score(c, value), 3)}` : title));
    });
  }

  function metricsTable(c) {
    const shown = stages.filter((stage) => stage in c.values);
    const head = make('tr', {}, make('th', { scope: 'col' }, 'Metric'), ...shown.map((s) => make('th', { scope: 'col', class: 'number' }, s[0].toUpperCase() + s.slice(1))));
    const rows = data.metrics.map((metric, index) => {
      const cells = shown.map((stage) => {
        const value = c.values[stage][index];
        const look = stage === 'delta' && value !== null ? verdict(value, metric.higher, metric.digits) : '';
        return make('td', { class: `number ${look}` }, fixed(value, metric.digits === 4 ? 3 : 1, stage === 'delta'));
      });
      return make('tr', {}, make('th', { scope: 'row' }, metric.name, ...(metric.unit ? [make('span', { class: 'unit' }, ` ${metric.unit}`)] : [])), ...cells);
    });
    byId('case-metrics').replaceChildren(make('thead', {}, head), make('tbody', {}, ...rows));
  }

  function facts(c) {
    const outcome = c.outcome ? OUTCOMES[c.outcome][0] : '';
    const parts = Object.values(c.parts).filter((value) => value !== null);
    const rows = [
      ['Outcome', [outcome, c.missed && 'missed', c.invented && 'invented'].filter(Boolean).join(', ')],
      ['Lesion', `${SIZES[c.stratum]}${c.share ? `, ${fixed(100 * c.share, 1)} % of the image` : ''}`],
      ['Prompts', promptNote(c)],
      ['Predicted IoU', c.predicted === null ? '' : fixed(c.predicted, 3)],
      ['Pieces of the mask', parts.join(' → ')],
    ];
    byId('case-facts').replaceChildren(...rows.filter(([, value]) => value).map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))));
  }

  function others(c) {
    const same = data.cases.filter((o) => o !== c && o.picture === c.picture);
    const links = same.map((o) => make('a', { href: `#${o.id}` }, `${[severalRuns && o.run, severalLabels && o.label].filter(Boolean).join(' · ')} ${fixed(last(o), 3)}`));
    byId('case-others').replaceChildren(...(links.length ? ['Dice of this image elsewhere: ', ...links.flatMap((link, index) => (index ? [', ', link] : [link]))] : []));
  }

  function setLayer(key) {
    if (reason(current, key)) return;
    if (view === 'over') {
      if (!over.delete(key)) over.add(key);
    } else {
      // The errors again: those of the other stage.
      if (view === 'one' && layer === 'errors' && key === 'errors') errorStage = shownErrors(current) === 'refined' && 'coarse' in current.layers ? 'coarse' : null;
      [view, layer] = ['one', key];
    }
    render();
  }

  function setView(key) {
    view = key;
    render();
  }

  function step(by) {
    const cases = order.includes(current) ? order : data.cases;
    const next = cases[(cases.indexOf(current) + by + cases.length) % cases.length];
    history.replaceState(null, '', `#${next.id}`);
    open(next);
  }

  /* --- keys and anchors ------------------------------------------------------------------------------------------ */

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, select, textarea')) return;
    const number = LAYERS[Number(event.key) - 1];
    if (number) (dialog.open ? setLayer : setGalleryLayer)(number.key);
    else if (!dialog.open) return;
    else if (event.key === 'ArrowLeft') step(-1);
    else if (event.key === 'ArrowRight') step(1);
    else if (event.key === 'v' || event.key === 'V') setView(VIEWS[(VIEWS.findIndex(([key]) => key === view) + 1) % VIEWS.length][0]);
    else return;
    event.preventDefault();
  }

  function closed() {
    if (location.hash.startsWith('#case/')) history.replaceState(null, '', location.pathname + location.search);
    const shown = byId(current.id);
    (opener && opener.isConnected && !opener.matches('.case-card') ? opener : shown || byId('layers').firstChild).focus();
  }

  function follow() {
    const wanted = location.hash.slice(1);
    const found = data.cases.find((c) => c.id === wanted || c.id === decoded(wanted));
    if (found) open(found);
    else if (dialog.open) dialog.close();
  }

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  setUp();
  follow();
})();

for (const select of document.querySelectorAll('[data-curves]')) {
  select.addEventListener('change', () => {
    for (const figure of document.querySelectorAll(`[data-curve^="${select.dataset.curves}-"]`)) {
      figure.hidden = figure.dataset.curve !== `${select.dataset.curves}-${select.value}`;
    }
  });
}

/* A plot is one stop of the Tab key; the arrow keys go from point to point, from the left to the right. */
for (const chart of document.querySelectorAll('.chart')) {
  const place = (link) => Number(link.firstElementChild.getAttribute('cx'));
  const points = [...chart.querySelectorAll('a')].sort((a, b) => place(a) - place(b));
  points.forEach((point, index) => point.setAttribute('tabindex', index ? '-1' : '0'));
  chart.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = by && points[points.indexOf(event.target.closest('a')) + by];
    if (!next) return;
    next.focus();
    event.preventDefault();
  });
}
