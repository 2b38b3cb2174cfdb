// The events that bench_feeder sends: as large, and of as many customers.
'use strict';

const CUSTOMERS = 10000;
const note = 'n'.repeat(190); // a line with it is 350 bytes

// A string of digits in front of which zeros stand.
const digits = (number) => String(number).padStart(10, '0');

exports.customer = (number) => 'c' + digits((number * 2654435761) % CUSTOMERS);

exports.event = (number) => ({
  name: 'order_placed',
  data: { order: digits(number), total: 123.45, currency: 'EUR', items: 3, new_customer: false, note },
});
