// Every call of customerio-node 4.4, customer by customer: node4.mjs BASE_URL SITE_ID API_KEY CUSTOMERS [CERTIFICATE_AUTHORITY]
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { IdentifierType, TrackClient } from 'customerio-node';
import { call, customers, eventId } from './calls.mjs';

const [base, siteId, apiKey, count, authority] = process.argv.slice(2);
const { protocol, hostname, port } = new URL(base);
// This generation takes host and path from its url; protocol and port are options of Node's own request.
const transport =
  protocol === 'https:' ? { port, ca: readFileSync(authority) } : { protocol, port, agent: new http.Agent({ keepAlive: true }) };
const cio = new TrackClient(siteId, apiKey, { url: `https://${hostname}/api/v1`, ...transport });

async function tell(customer, index) {
  await call('identify', () => cio.identify(customer, { n: 1, email: `c${index}@example.com`, plan: 'größer', tags: ['x', null] }));
  await call('identify', () => cio.identify(customer));
  await call('track', () => cio.track(customer, { name: 'purchase', data: { n: 2, price: 23.45 } }));
  await call('track', () => cio.track(customer, { name: 'purchase', id: eventId(index), timestamp: 1700000000 + index, data: { n: 3 } }));
  await call('trackPageView', () => cio.trackPageView(customer, 'https://www.example.com/pricing?a=1&b=é'));
  await call('trackAnonymous', () => cio.trackAnonymous(`visitor ${index}`, { name: 'look', data: { n: 1 } }));
  await call('trackAnonymous', () => cio.trackAnonymous('', { name: 'invite', data: { recipient: `c${index}@example.com` } }));
  await call('addDevice', () => cio.addDevice(customer, 'token/1', 'ios', { last_used: 1700000000, app: '1.0' }));
  await call('deleteDevice', () => cio.deleteDevice(customer, 'token/1'));
  await call('suppress', () => cio.suppress(customer));
  await call('unsuppress', () => cio.unsuppress(customer));
  await call('mergeCustomers', () => cio.mergeCustomers(IdentifierType.Id, customer, IdentifierType.Email, `old${index}@example.com`));
  await call('trackPush', () =>
    cio.trackPush({ delivery_id: `delivery${index}`, device_id: 'token/1', event: 'opened', timestamp: 1700000000 }),
  );
  await call('destroy', () => cio.destroy(customer));
}

for (const [index, customer] of customers(Number(count)).entries()) await tell(customer, index);
cio.defaults.agent?.destroy();
