// Every call of customerio-node 5, customer by customer: node5.mjs BASE_URL SITE_ID API_KEY CUSTOMERS
import { IdentifierType, TrackClient } from 'customerio-node';
import { call, customers, eventId } from './calls.mjs';

const [base, siteId, apiKey, count] = process.argv.slice(2);
const cio = new TrackClient(siteId, apiKey, { url: `${base}/api/v1` });

async function tell(customer, index) {
  await call('identify', () => cio.identify(customer, { n: 1, email: `c${index}@example.com`, plan: 'größer', tags: ['x', null, { y: 0.1 }] }));
  await call('identify', () => cio.identify(customer));
  await call('identify', () => cio.identify(customer, { n: 2, _timestamp: 1700000000 + index }));
  await call('track', () => cio.track(customer, { name: 'purchase', data: { n: 3, price: 23.45, huge: 1e300, text: '“quoted” \\ \u0001' } }));
  await call('track', () => cio.track(customer, { name: 'purchase', id: eventId(index), timestamp: 1700000000 + index, data: { n: 4 } }));
  await call('track', () => cio.track(customer, { name: 'bare' }));
  await call('track', () => cio.track(customer, { name: 'screen', type: 'screen', data: { n: 5 } }));
  await call('trackPageView', () => cio.trackPageView(customer, 'https://www.example.com/pricing?a=1&b=é'));
  await call('trackAnonymous', () => cio.trackAnonymous(`visitor ${index}`, { name: 'look', data: { n: 1 } }));
  await call('trackAnonymous', () => cio.trackAnonymous('', { name: 'invite', data: { recipient: `c${index}@example.com` } }));
  await call('addDevice', () => cio.addDevice(customer, 'token/1', 'ios', { last_used: 1700000000, app: '1.0' }));
  await call('addDevice', () => cio.addDevice(customer, 'token 2', 'android'));
  await call('deleteDevice', () => cio.deleteDevice(customer, 'token/1'));
  await call('suppress', () => cio.suppress(customer));
  await call('unsuppress', () => cio.unsuppress(customer));
  await call('mergeCustomers', () => cio.mergeCustomers(IdentifierType.Id, customer, IdentifierType.Email, `old${index}@example.com`));
  await call('batch', () =>
    cio.batch([
      { type: 'person', action: 'identify', identifiers: { id: customer }, attributes: { n: 6, plan: 'pro' } },
      { type: 'person', action: 'event', identifiers: { id: customer }, name: 'purchase', attributes: { n: 7 } },
      { type: 'person', action: 'event', identifiers: { id: `other${index}` }, name: 'purchase', id: eventId(500 + index), timestamp: 1700000000 },
      { type: 'object', action: 'identify', identifiers: { object_type_id: '1', object_id: `acme${index}` }, attributes: { name: 'Acme' } },
    ]),
  );
  await call('entity', () =>
    cio.entity({ type: 'person', action: 'event', identifiers: { id: customer }, name: 'renewal', attributes: { n: 8 } }),
  );
  await call('addCustomersToSegment', () => cio.addCustomersToSegment(7, [customer, `other${index}`]));
  await call('removeCustomersFromSegment', () => cio.removeCustomersFromSegment('7', [customer], IdentifierType.Id));
  await call('submitForm', () => cio.submitForm('sign up', { email: `c${index}@example.com`, note: 'hi' }));
  await call('reportMetric', () => cio.reportMetric({ delivery_id: `delivery${index}`, metric: 'opened', timestamp: 1700000000 }));
  await call('trackPush', () =>
    cio.trackPush({ delivery_id: `delivery${index}`, device_id: 'token/1', event: 'opened', timestamp: 1700000000 }),
  );
  await call('unsubscribe', () => cio.unsubscribe(`delivery/${index}`));
  await call('getAccountRegion', () => cio.getAccountRegion());
  await call('destroy', () => cio.destroy(customer));
}

for (const [index, customer] of customers(Number(count)).entries()) await tell(customer, index);
