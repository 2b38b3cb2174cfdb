// Calls of customerio-node 4 or 5 until told to stop: node.mjs BASE_URL SITE_ID API_KEY PARALLEL PAUSE_MS STOP_FILE [CERTIFICATE_AUTHORITY]
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { setTimeout } from 'node:timers/promises';
import { TrackClient } from 'customerio-node';

const [base, siteId, apiKey, parallel, pause, stopFile, authority] = process.argv.slice(2);
const { version } = JSON.parse(readFileSync(new URL('node_modules/customerio-node/package.json', import.meta.url), 'utf8'));
const { protocol, hostname, port } = new URL(base);

// Generation 4 takes host and path from its url; the rest are options of Node's own request (docs/libraries.md).
const keepAlive = { keepAlive: true };
const transport =
  protocol === 'https:'
    ? { port, ca: readFileSync(authority), agent: new https.Agent(keepAlive) }
    : { protocol, port, agent: new http.Agent(keepAlive) };
const cio = version.startsWith('4.')
  ? new TrackClient(siteId, apiKey, { url: `https://${hostname}/api/v1`, ...transport })
  : new TrackClient(siteId, apiKey, { url: `${base}/api/v1` });

async function call(customer, n) {
  const line = { customer, n, type: n % 2 === 1 ? 'track' : 'identify', ok: true };
  try {
    if (line.type === 'track') await cio.track(customer, { name: 'step', data: { n } });
    else await cio.identify(customer, { n });
  } catch (error) {
    Object.assign(line, { ok: false, error: String(error?.cause ?? error) });
  }
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function work(worker) {
  for (let n = 1; !existsSync(stopFile); ++n) {
    await call(`w${worker}`, n);
    if (pause > 0) await setTimeout(Number(pause));
  }
}

process.stdout.write(`${JSON.stringify({ library: `customerio-node ${version}, Node ${process.versions.node}` })}\n`);
await Promise.all(Array.from({ length: Number(parallel) }, (_, worker) => work(worker)));
process.exit(0);
