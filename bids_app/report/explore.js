'use strict';
/* global Plotly */
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const $ = (id) => document.getElementById(id);
  const decode = (text, Kind) => {
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Kind(bytes.buffer);
  };
  const n = data.n;
  const half = n / 2;
  const NONE = -32768;
  const points = {};
  for (const [name, one] of Object.entries(data.surfaces)) {
    const whole = decode(one.data, Int16Array);
    points[name] = [0, 1, 2].map((axis) => Array.from({ length: n }, (_, v) => whole[3 * v + axis] * one.step));
  }
  const faces = decode(data.faces, Uint16Array);
  const gray = decode(data.gray, Uint8Array);
  const colors = Object.fromEntries(Object.entries(data.colors).map(([name, text]) => [name, decode(text, Uint8Array)]));
  const pools = data.p.map((text) => decode(text, Uint8Array));
  const bits = data.passed.map((text) => decode(text, Uint8Array));
  const maps = data.maps.map((map) => ({ ...map, values: decode(map.data, Int16Array) }));
  const valueOf = (map, row, v) => {
    const stored = map.values[row * n + v];
    return stored === NONE ? NaN : stored * map.step;
  };
  const passed = (map, row, v) => {
    const at = row * n + v;
    return (bits[map.passed][at >> 3] >> (7 - (at & 7))) & 1;
  };
  const pCode = (map, row, v) => pools[map.p][row * n + v];
  const pText = (code) => {
    if (code === 255) return 'not tested';
    if (code === 0) return `p < ${short(data.edges[0])}`;
    if (code === data.edges.length) return 'p = 1';
    return `p = ${short(Math.sqrt(data.edges[code - 1] * data.edges[code]))}`;
  };
  const short = (p) => (p < 0.0001 ? p.toExponential(0) : p.toFixed(p < 0.01 ? 4 : 3).replace(/^0/, ''));
  const opacityOf = (code) => {
    if (code === 255) return 0;
    const p = code === 0 ? data.edges[0] : data.edges[code - 1];
    return Math.max(0, Math.min(1, Math.log(0.05 / p) / Math.log(50)));
  };
  const opacities = Array.from({ length: 256 }, (_, code) => opacityOf(code));
  const state = { map: 0, layer: 0, vertex: null, view: 'left' };

  const fill = (select, items) => items.forEach(([value, text]) => select.add(new Option(text, value)));
  fill($('map'), maps.map((map, k) => [k, map.title]));
  fill($('surface'), Object.keys(points).map((name) => [name, name]));
  const STEPS = [0.05, 0.01, 0.005, 0.001, 0.0001];

  const tick = (value) => String(Number(value.toPrecision(2)));

  function chooseMap () {
    const map = maps[state.map];
    const kept = $('threshold').value || 'fade';
    $('threshold').replaceChildren();
    const choices = [['all', 'none']];
    if (map.p !== null) choices.push(['fade', 'fades with p (.05 to .001)']);
    if (map.p !== null) STEPS.forEach((p) => choices.push([String(p), `p < ${short(p)}, uncorrected`]));
    if (map.passed !== null) choices.push(['passed', data.corrected]);
    fill($('threshold'), choices);
    $('threshold').value = choices.some(([value]) => value === kept) ? kept : choices[Math.min(1, choices.length - 1)][0];
    $('layer').max = map.names.length - 1;
    $('layer').disabled = map.names.length < 2;
    state.layer = Math.min(state.layer, map.names.length - 1);
    $('layer').value = state.layer;
    $('least').value = 0;
    $('low').textContent = (map.under ? '≤ ' : '') + tick(map.low);
    $('high').textContent = (map.over ? '≥ ' : '') + tick(map.high);
    $('unit').textContent = map.unit;
    const context = $('bar').getContext('2d');
    const image = context.createImageData(256, 1);
    for (let k = 0; k < 256; k++) {
      for (let c = 0; c < 3; c++) image.data[4 * k + c] = colors[map.colors][3 * k + c];
      image.data[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  function paint () {
    const map = maps[state.map];
    const row = state.layer;
    const threshold = $('threshold').value;
    const code = STEPS.includes(Number(threshold)) ? data.edges.indexOf(Number(threshold)) : -1;
    const reach = Math.max(Math.abs(map.low), Math.abs(map.high));
    const least = Number($('least').value) / 100 * reach;
    const lut = colors[map.colors];
    let count = 0;
    const found = new Array(n);
    for (let v = 0; v < n; v++) {
      const value = valueOf(map, row, v);
      let share = Number.isNaN(value) || (least > 0 && Math.abs(value) < least) ? 0 : 1;
      if (share && threshold === 'fade') share = opacities[pCode(map, row, v)];
      else if (share && code >= 0) share = pCode(map, row, v) <= code ? 1 : 0;
      else if (share && threshold === 'passed') share = passed(map, row, v);
      if (share > 0) count++;
      const at = 3 * Math.max(0, Math.min(255, Math.round(255 * (value - map.low) / (map.high - map.low)))) || 0;
      const mix = (c) => Math.round(share * lut[at + c] + (1 - share) * gray[v]);
      found[v] = `rgb(${mix(0)},${mix(1)},${mix(2)})`;
    }
    $('layer-name').textContent = map.names[row];
    $('least-value').textContent = least > 0 ? least.toPrecision(2) : 'nothing';
    $('shown').textContent = `${count} of ${n} vertices show a color.`;
    return found;
  }

  function shownFaces () {
    const which = $('hemisphere').value;
    const i = []; const j = []; const k = [];
    for (let f = 0; f < faces.length; f += 3) {
      const left = faces[f] < half;
      if (which === 'both' || (which === 'left') === left) {
        i.push(faces[f]); j.push(faces[f + 1]); k.push(faces[f + 2]);
      }
    }
    return { i, j, k };
  }

  function mesh () {
    const [x, y, z] = points[$('surface').value];
    return { type: 'mesh3d', x, y, z, ...shownFaces(), vertexcolor: paint(), hoverinfo: 'none', flatshading: false };
  }

  function marker () {
    const [x, y, z] = points[$('surface').value];
    const v = state.vertex;
    return {
      type: 'scatter3d', mode: 'markers', hoverinfo: 'skip',
      x: v === null ? [] : [x[v]], y: v === null ? [] : [y[v]], z: v === null ? [] : [z[v]],
      marker: { size: 8, color: '#00c2ff', line: { color: '#000', width: 2 } }
    };
  }

  const axis = { visible: false, showspikes: false };
  const EYES = { left: [-1, 0, 0], right: [1, 0, 0], top: [0, 0, 1], bottom: [0, 0, -1], front: [0, 1, 0], back: [0, -1, 0] };
  const cameraOf = (view) => {
    const [x, y, z] = EYES[view];
    const far = 1.35;
    return { eye: { x: far * x, y: far * y, z: far * z }, up: z ? { x: 0, y: 1, z: 0 } : { x: 0, y: 0, z: 1 }, center: { x: 0, y: 0, z: 0 } };
  };
  const config = { displayModeBar: false, displaylogo: false, responsive: true };

  function drawBrain () {
    const brain = $('brain');
    const layout = {
      margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, hovermode: 'closest', paper_bgcolor: '#fff',
      scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: 'data', camera: cameraOf(state.view), dragmode: 'orbit' }
    };
    Plotly.newPlot(brain, [mesh(), marker()], layout, config).then(() => {
      brain.on('plotly_click', (event) => {
        const point = event.points[0];
        if (point.curveNumber === 0) choose(point.pointNumber);
      });
      choose(data.start);
      document.body.dataset.ready = 'yes';
    });
  }

  const repaint = () => Plotly.restyle('brain', { vertexcolor: [paint()] }, [0]);

  function redraw () {
    const now = mesh();
    const { x, y, z } = marker();
    Plotly.restyle('brain', { x: [now.x], y: [now.y], z: [now.z], i: [now.i], j: [now.j], k: [now.k] }, [0]);
    Plotly.restyle('brain', { x: [x], y: [y], z: [z] }, [1]);
  }

  const font = { family: 'system-ui, Arial, sans-serif', size: 13, color: '#1b1f24' };
  function layoutOf (x, y, more) {
    return {
      margin: { l: 60, r: 10, t: 30, b: 50 }, font, paper_bgcolor: '#fff', plot_bgcolor: '#fff', showlegend: false,
      xaxis: { title: { text: x }, zeroline: false, showgrid: false, automargin: true },
      yaxis: { title: { text: y }, gridcolor: '#d0d7de', zerolinecolor: '#6b7280', automargin: true }, ...more
    };
  }

  function drawProfile () {
    const v = state.vertex;
    const map = maps[data.profile];
    const y = map.names.map((_, row) => valueOf(map, row, v));
    const p = map.p === null ? null : map.names.map((_, row) => pCode(map, row, v));
    const clear = (row) => p !== null && p[row] <= data.edges.indexOf(0.05);
    const trace = {
      type: 'scatter', mode: 'lines+markers', x: map.names.map((_, k) => k + 1), y,
      text: map.names.map((name, row) => `${name}<br>${y[row].toFixed(3)}${p ? '<br>' + pText(p[row]) : ''}`),
      hoverinfo: 'text', line: { color: '#0072B2' },
      marker: { size: 9, color: map.names.map((_, row) => (clear(row) ? '#0072B2' : '#ffffff')), line: { color: '#0072B2', width: 1.5 } }
    };
    const here = { type: 'line', x0: state.layer + 1, x1: state.layer + 1, yref: 'paper', y0: 0, y1: 1, line: { color: '#D55E00', width: 1, dash: 'dot' } };
    const layout = layoutOf('', map.unit, { title: { text: `${map.title}${p ? '; filled: p < .05, uncorrected' : ''}`, font: { size: 13 } }, shapes: map.names.length > 1 ? [here] : [] });
    layout.xaxis.tickvals = trace.x;
    layout.xaxis.ticktext = map.names.map((name, k) => `${k + 1} ${name}`);
    layout.xaxis.tickangle = -60;
    layout.xaxis.tickfont = { size: 11 };
    Plotly.react('profile', [trace], layout, config);
  }

  const middle = (v, axisNumber) => (points.white[axisNumber][v] + points.pial[axisNumber][v]) / 2;
  const distance = (a, b) => Math.hypot(...[0, 1, 2].map((c) => middle(a, c) - middle(b, c)));
  const courses = data.courses && {
    ...data.courses,
    kept: decode(data.courses.kept, Uint16Array),
    presentations: data.courses.presentations.map((one) => ({ ...one, values: decode(one.data, Int8Array) }))
  };

  function drawCourse () {
    if (!courses) return;
    let best = 0; let away = Infinity;
    courses.kept.forEach((v, k) => {
      if ((v < half) !== (state.vertex < half)) return;
      const d = v === state.vertex ? -1 : distance(v, state.vertex);
      if (d < away) { away = d; best = k; }
    });
    $('course-label').textContent = away < 0
      ? 'Cleaned response of the vertex, in its standard deviations.'
      : `The responses of this vertex are not in this page; those of vertex ${courses.kept[best] % half} are, ${away.toFixed(1)} mm away.`;
    const traces = []; const titles = []; const layout = layoutOf('', '', {});
    delete layout.xaxis; delete layout.yaxis;
    const rows = courses.presentations.length;
    courses.presentations.forEach((one, k) => {
      const length = one.times.length;
      const y = Array.from(one.values.subarray(best * length, (best + 1) * length), (v) => v * courses.step);
      const suffix = k === 0 ? '' : String(k + 1);
      traces.push({ type: 'scatter', mode: 'lines', x: one.times, y, xaxis: `x${suffix}`, yaxis: `y${suffix}`, line: { color: '#0072B2', width: 1.2 }, hoverinfo: 'x+y' });
      const top = 1 - k / rows; const bottom = 1 - (k + 0.62) / rows;
      layout[`yaxis${suffix}`] = { domain: [bottom, top], title: { text: 'SD' }, gridcolor: '#d0d7de', anchor: `x${suffix}` };
      layout[`xaxis${suffix}`] = { anchor: `y${suffix}`, showgrid: false, zeroline: false, title: k === rows - 1 ? { text: 'second of the stimulus' } : undefined };
      titles.push({ text: one.label, xref: 'paper', yref: 'paper', x: 0, y: top, xanchor: 'left', yanchor: 'bottom', showarrow: false });
    });
    layout.annotations = titles;
    layout.height = 60 + 130 * rows;
    Plotly.react('course', traces, layout, config);
  }

  function choose (v) {
    if (v === state.vertex || !(v >= 0 && v < n)) return;
    state.vertex = v;
    const left = v < half;
    const own = left ? v : v - half;
    $('side').value = left ? 'left' : 'right';
    $('vertex').value = own;
    const at = [0, 1, 2].map((c) => middle(v, c));
    const mni = data.mni152.map((row) => row[0] * at[0] + row[1] * at[1] + row[2] * at[2] + row[3]);
    const tell = (xyz) => xyz.map((c) => c.toFixed(0)).join(', ');
    const map = maps[state.map];
    const value = valueOf(map, state.layer, v);
    const told = Number.isNaN(value) ? 'no value' : `${map.unit} ${value.toFixed(3)}${map.p === null ? '' : ', ' + pText(pCode(map, state.layer, v))}`;
    const region = data.regions ? ` Region: ${data.regions.names[decodeRegions()[v]] || 'none'} (${data.regions.atlas}).` : '';
    $('place').textContent = `Vertex ${own} of the ${left ? 'left' : 'right'} hemisphere (${data.space}); MNI305 ${tell(at)}, MNI152 ${tell(mni)}.${region} ${map.title}: ${told}.`;
    const { x, y, z } = marker();
    Plotly.restyle('brain', { x: [x], y: [y], z: [z] }, [1]);
    drawProfile();
    drawCourse();
  }
  let regions = null;
  const decodeRegions = () => regions || (regions = decode(data.regions.data, Uint16Array));
  const again = () => { const v = state.vertex; if (v !== null) { state.vertex = null; choose(v); } };

  $('map').addEventListener('change', () => { state.map = Number($('map').value); chooseMap(); repaint(); again(); });
  $('layer').addEventListener('input', () => { state.layer = Number($('layer').value); repaint(); again(); });
  $('threshold').addEventListener('change', repaint);
  $('least').addEventListener('input', repaint);
  $('surface').addEventListener('change', redraw);
  $('hemisphere').addEventListener('change', redraw);
  const byNumber = () => { if ($('vertex').value !== '') choose(Number($('vertex').value) + ($('side').value === 'left' ? 0 : half)); };
  $('vertex').max = half - 1;
  $('vertex').addEventListener('change', byNumber);
  $('side').addEventListener('change', byNumber);
  document.querySelectorAll('[data-view]').forEach((button) => button.addEventListener('click', () => {
    state.view = button.dataset.view;
    Plotly.relayout('brain', { 'scene.camera': cameraOf(state.view) });
  }));
  chooseMap();
  drawBrain();
})();
