// Counted events of three customers in turn, by customerio-node 5: steps.mjs BASE_URL SITE_ID API_KEY STEPS [stop-every N | own-ids]
//
// stop-every N: stops itself (SIGSTOP) after each N-th call, so that nothing of it is under way while outboxd is killed.
// own-ids: each event has an id of its own, so that a call repeated by the library has its effect once.
import { TrackClient } from 'customerio-node';
import { call, eventId } from './calls.mjs';

const [base, siteId, apiKey, steps, mode, every] = process.argv.slice(2);
const cio = new TrackClient(siteId, apiKey, { url: `${base}/api/v1` });

for (let step = 0; step < Number(steps); ++step) {
  const customer = `c${step % 3}`;
  const n = Math.floor(step / 3) + 1;
  const own = mode === 'own-ids' ? { id: eventId(step) } : {};
  await call(`${customer} ${n}`, () => cio.track(customer, { name: 'step', ...own, data: { n } }));
  if (mode === 'stop-every' && (step + 1) % Number(every) === 0) process.kill(process.pid, 'SIGSTOP');
}
