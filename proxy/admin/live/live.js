'use strict';
// The page asks the interface that serves it, and nobody else. All text is set as text.
const rowsKept = 300, every = 2000;
const $ = (s) => document.querySelector(s);
let paused = false, source = null, missed = 0, generation = 0;
const shown = new Map(); // rows of flows, by id

const took = (ms) => ms >= 60000 ? Math.round(ms / 1000) + ' s' : ms >= 1000 ? (ms / 1000).toFixed(1) + ' s' : ms.toFixed(1) + ' ms';
const size = (n) => n >= 1e9 ? (n / 1e9).toFixed(1) + ' GB' : n >= 1e6 ? (n / 1e6).toFixed(1) + ' MB' : n >= 1e3 ? (n / 1e3).toFixed(1) + ' kB' : String(n || 0);

function cells(row, texts) {
	row.replaceChildren(...texts.map((t) => {
		const td = document.createElement('td');
		if (t instanceof Node) td.append(t); else td.textContent = t === undefined || t === '' ? '–' : t;
		return td;
	}));
}

function subject(f) {
	if (f.kind === 'request') return f.method ? f.method + ' ' + (f.authority || '') + (f.path || '') : 'request without a head';
	return [f.transport && f.transport !== 'raw_buffer' ? f.transport : 'tcp', f.server_name, f.alpn && '(' + f.alpn.join(',') + ')'].filter(Boolean).join(' ');
}

function show(f) {
	const key = f.kind + f.id;
	let row = shown.get(key);
	const body = $('#flows tbody');
	if (!row) {
		row = document.createElement('tr');
		shown.set(key, row);
		body.prepend(row);
	}
	row.className = (f.state !== 'ended' ? 'live ' : '') + (f.code >= 500 || f.flags ? 'bad' : '');
	row.dataset.generation = generation;
	row.dataset.live = f.state !== 'ended' ? '1' : '';
	const acts = document.createElement('span');
	const why = document.createElement('button');
	why.textContent = 'explain';
	why.onclick = () => explain(f.id);
	acts.append(why);
	if (f.state !== 'ended') {
		const kill = document.createElement('button');
		kill.textContent = 'kill';
		kill.onclick = () => fetch('/flows/kill?id=' + encodeURIComponent(f.id), {method: 'POST'}).then(refresh);
		acts.append(kill);
	}
	const end = f.flags || (f.state === 'ended' && f.details !== 'via_upstream' ? f.details : '');
	cells(row, [f.id, f.state, took(f.duration_ms), f.client, f.destination, subject(f), f.code, end, f.cluster, f.host, f.attempts, size(f.bytes_received), size(f.bytes_sent), acts]);
	row.title = (f.tries || []).map((t) => (t.host || '') + ' ' + (t.code || '') + ' ' + t.why).join('\n');
	while (body.rows.length > rowsKept) {
		const last = body.lastElementChild;
		for (const [k, r] of shown) if (r === last) shown.delete(k);
		last.remove();
	}
}

async function explain(id) {
	const r = await fetch('/explain?format=text&flow=' + encodeURIComponent(id));
	$('#why pre').textContent = await r.text();
	$('#why').showModal();
}

function parameters() {
	const q = new URLSearchParams();
	for (const [k, v] of new FormData($('#filter'))) if (v !== '') q.set(k, v === 'on' ? '' : v);
	return q;
}

function follow() {
	if (source) source.close();
	source = null;
	const q = parameters();
	if (paused || q.has('live')) return;
	q.set('follow', '');
	source = new EventSource('/flows?' + q);
	source.addEventListener('flow', (e) => show(JSON.parse(e.data)));
	source.addEventListener('missed', (e) => {
		missed += JSON.parse(e.data).missed;
		$('#missed').textContent = missed + ' flows came too fast to be shown';
	});
}

const get = async (path) => { const r = await fetch(path); return r.ok ? r.json() : null; };

async function live() {
	const q = parameters();
	q.set('live', '');
	const l = await get('/flows?' + q);
	if (!l) return;
	generation++;
	for (const f of l.flows.reverse()) show(f);
	for (const [k, row] of shown) { // what was live and is not any more
		if (row.dataset.live && Number(row.dataset.generation) < generation) { row.remove(); shown.delete(k); }
	}
}

const address = (a) => a && (a.socket_address ? a.socket_address.address + ':' + a.socket_address.port_value : a.pipe ? a.pipe.path : '');

async function listeners() {
	const l = await get('/listeners?format=json');
	const rows = ((l && l.listener_statuses) || []).map((x) => {
		const row = document.createElement('tr');
		cells(row, [x.name, [x.local_address, ...(x.additional_local_addresses || [])].map(address).join(', ')]);
		return row;
	});
	$('#listeners tbody').replaceChildren(...rows);
}

async function clusters() {
	const l = await get('/clusters?format=json');
	const number = (h, name) => Number(((h.stats || []).find((s) => s.name === name) || {}).value || 0);
	const rows = ((l && l.cluster_statuses) || []).slice(0, 200).map((c) => {
		const hosts = c.host_statuses || [];
		const sum = (name) => hosts.reduce((n, h) => n + number(h, name), 0);
		const sick = hosts.filter((h) => { const s = h.health_status || {}; return s.failed_active_health_check || s.failed_outlier_check || s.eds_health_status === 'UNHEALTHY'; });
		const row = document.createElement('tr');
		if (hosts.length === 0 || sick.length > 0) row.className = 'bad';
		cells(row, [c.name, hosts.length, hosts.length - sick.length, sum('cx_active'), sum('rq_total'), sum('rq_error')]);
		return row;
	});
	$('#clusters tbody').replaceChildren(...rows);
}

async function warnings() {
	const [info, x] = await Promise.all([get('/server_info'), get('/xds?format=json')]);
	if (info) {
		$('#state').textContent = info.state;
		$('#version').textContent = info.version;
	}
	const out = [];
	for (const s of (x && x.sources) || []) if (!s.file && !s.connected) out.push('no connection to ' + s.name);
	for (const t of (x && x.types) || []) {
		if (t.last_nack && t.last_nack.standing) out.push(t.short + ' version ' + t.last_nack.version + ' is refused: ' + t.last_nack.text);
	}
	if (x && x.degraded_fields) out.push(x.degraded_fields + ' fields of the configuration have no effect: see /xds');
	$('#warnings').hidden = out.length === 0;
	$('#warnings ul').replaceChildren(...out.map((t) => { const li = document.createElement('li'); li.textContent = t; return li; }));
}

async function refresh() {
	if (!paused) await Promise.allSettled([live(), listeners(), clusters(), warnings()]);
}

async function tick() {
	if (!document.hidden) await refresh();
	setTimeout(tick, every);
}

$('#filter').onsubmit = (e) => {
	e.preventDefault();
	shown.clear();
	$('#flows tbody').replaceChildren();
	get('/flows?' + parameters()).then((l) => { for (const f of (l ? l.flows : []).reverse()) show(f); });
	follow();
};
$('#pause').onclick = () => {
	paused = !paused;
	$('#pause').textContent = paused ? 'go on' : 'pause';
	follow();
};
$('#filter').requestSubmit();
tick();
