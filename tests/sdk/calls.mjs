// What the Node drivers share: who they speak of, and one line of JSON for each call.

// Every other customer's identifier needs each kind of escaping.
export function customers(count) {
  return Array.from({ length: count }, (_, index) => (index % 2 === 0 ? `c${index}` : `a b/ü+@%~!'()*${index}`));
}

// The n-th of a driver's own event ids, all of them of one moment long ago.
export function eventId(n) {
  return `01JDB3T0C5W7X8Y9Z0ABCDE${String(n).padStart(3, '0')}`;
}

export function report(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

export async function call(name, run) {
  try {
    report({ call: name, ok: true, answer: await run() });
  } catch (error) {
    report({ call: name, ok: false, error: String(error?.cause ?? error) });
  }
}
