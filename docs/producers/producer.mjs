// Hands one event to outboxd for each number on standard input: node producer.mjs [SOCKET [CUSTOMER]]
//
// Prints each number that was accepted with the id of its job. Exit status: 0 all were accepted, 1 some were refused for
// good, 75 outboxd took nothing for OUTBOXD_PATIENCE seconds.
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import readline from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const replyTimeout = 1000 * (process.env.OUTBOXD_REPLY_TIMEOUT ?? 30);
const patience = 1000 * (process.env.OUTBOXD_PATIENCE ?? 600);
const tryAgain = new Set(['busy', 'spool_full', 'internal']);

class Refused extends Error {} // outboxd will never take this job
class Unavailable extends Error {} // outboxd took nothing for too long

// A connection to outboxd, opened when it is needed. One send at a time: await it before the next.
class Outbox {
  #path;
  #socket = null;

  constructor(path) {
    this.#path = path;
  }

  // Resolves to the job's id once the job is on stable storage.
  async send(job) {
    const line = JSON.stringify(job) + '\n';
    const deadline = Date.now() + patience;
    for (let wait = 100; ; wait = Math.min(2 * wait, 5000)) {
      let trouble;
      try {
        const reply = JSON.parse(await this.#ask(line));
        if (reply.ok) return reply.job;
        trouble = `${reply.error.code}: ${reply.error.message}`;
        if (!tryAgain.has(reply.error.code)) throw new Refused(trouble);
      } catch (error) {
        if (error instanceof Refused) throw error;
        this.close(); // a reply that comes late must not be taken for the next one
        trouble = error.message;
      }
      if (Date.now() + wait > deadline) throw new Unavailable(trouble);
      console.error(`${trouble}; trying again`);
      await sleep(wait * (0.5 + Math.random() / 2));
    }
  }

  close() {
    this.#socket?.destroy();
    this.#socket = null;
  }

  #connect() {
    const socket = net.connect(this.#path).setEncoding('utf8');
    socket.on('error', () => {}); // told by 'close', also between two sends
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = null;
    });
    return socket;
  }

  #ask(line) {
    return new Promise((resolve, reject) => {
      const socket = (this.#socket ??= this.#connect());
      let reply = '';
      const listeners = {
        data: (text) => (reply += text).endsWith('\n') && finish(resolve, reply),
        error: (error) => finish(reject, error),
        close: () => finish(reject, new Error('outboxd closed the connection')),
      };
      const timer = setTimeout(() => finish(reject, new Error('no reply in time')), replyTimeout);
      const finish = (settle, value) => {
        clearTimeout(timer);
        for (const [name, listener] of Object.entries(listeners)) socket.off(name, listener);
        settle(value);
      };
      for (const [name, listener] of Object.entries(listeners)) socket.on(name, listener);
      socket.write(line);
    });
  }
}

// 48 bits of milliseconds and 80 random ones: made once for each event, whatever happens to it.
function ulid() {
  const base32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  let bits = (BigInt(Date.now()) << 80n) | BigInt('0x' + randomBytes(10).toString('hex'));
  let text = '';
  for (let i = 0; i < 26; ++i, bits >>= 5n) text = base32[Number(bits & 31n)] + text;
  return text;
}

const outbox = new Outbox(process.argv[2] ?? '/run/outboxd/outboxd.sock');
const customer = process.argv[3] ?? '42';
let status = 0;
for await (const text of readline.createInterface({ input: process.stdin })) {
  const number = Number(text);
  const event = { type: 'track', id: customer, name: 'step', data: { n: number } };
  Object.assign(event, { event_id: ulid(), timestamp: Math.floor(Date.now() / 1000) });
  try {
    console.log(number, await outbox.send(event));
  } catch (error) {
    console.error(`${number}: ${error.message}`);
    status = error instanceof Refused ? 1 : 75;
    if (error instanceof Unavailable) break;
  }
}
process.exit(status);
