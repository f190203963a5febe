// Viewers that take nothing for a while among others that go on: the others notice nothing, and the slow ones, which are left behind further
// than the kernel's buffers and the hub's ring reach, catch up from the store with nothing lost. Large activities, to fill those buffers.
//
//   RUN_SECONDS=20 SLOW=4 PAUSE=12 VUS=5 SOCKETS=2 RATE=60 BATCH=1 BYTES=16000 DELIVERY_MS=2000 CAUGHT_UP=4
//
// PAUSE must be less than `session.write_timeout`, 30 s. CAUGHT_UP=0 takes away the demand that the slow ones really were in the way, for
// networks with larger buffers.

import { check, sleep } from 'k6';
import { Counter } from 'k6/metrics';
import { setTimeout } from 'k6/timers';
// The older module, because it reads a socket only when its viewer has taken what came before.
import ws from 'k6/ws';
import {
  Place, SUBPROTOCOL, Viewer, deleteTask, delivered, isUnexpected, newTask, offsetOf, publish, publishing, setting, sizes, stateOf,
  thresholds, untilTheEnd, viewing, webSocketUrl,
} from './hub.js';

const SIZE = sizes({ seconds: 20, vus: 5, rate: 60, bytes: 16000 });
const SLOW = setting('SLOW', 4);
const PAUSE = setting('PAUSE', 12);
const SETTLE_MS = 20000;
const CHECK_MS = 100;

// Slow viewers that the hub had to serve from the store: it said `live` to them a second time.
const caughtUp = new Counter('caught_up');

export const options = {
  scenarios: { viewers: viewing(SIZE, 'view'), slow: viewing(SIZE, 'dawdle', SLOW), publishers: publishing(SIZE, 'send') },
  thresholds: thresholds(SIZE.vus * SIZE.sockets + SLOW, { ...delivered(), caught_up: [`count>=${setting('CAUGHT_UP', SLOW)}`] }),
};

export function setup() {
  return { task: newTask('slow') };
}

export function view({ task }) {
  const viewers = Array.from({ length: SIZE.sockets }, () => new Viewer(task));
  setTimeout(() => {
    const { head } = stateOf(task);
    viewers.forEach((viewer) => viewer.finish(head));
  }, untilTheEnd(SIZE));
}

export function dawdle({ task }) {
  let place = new Place();
  let head = Infinity;
  let lives = 0;
  const answer = ws.connect(webSocketUrl(), { headers: { 'Sec-WebSocket-Protocol': SUBPROTOCOL } }, (socket) => {
    socket.on('open', () => socket.send(JSON.stringify({ op: 'subscribe', task, after: 'start' })));
    socket.on('message', (text) => {
      const message = JSON.parse(text);
      if (message.op === 'activity') {
        place.take(message.offset);
      } else if (message.op === 'subscribed') {
        place = new Place(offsetOf(message.after));
      } else if (message.op === 'live') {
        lives += 1;
        if (lives === 1) {
          sleep(PAUSE);
        }
      } else {
        isUnexpected(message);
      }
    });
    socket.setTimeout(() => {
      ({ head } = stateOf(task));
      socket.setTimeout(() => socket.close(), SETTLE_MS);
      socket.setInterval(() => head <= place.offset && socket.close(), CHECK_MS);
    }, untilTheEnd(SIZE));
  });
  check(answer, { 'a slow viewer connected': (answer) => answer && answer.status === 101 });
  check(head, { 'a slow viewer was not closed': (head) => head !== Infinity });
  caughtUp.add(1 < lives ? 1 : 0);
  place.end(head === Infinity ? stateOf(task).head : head);
}

export function send({ task }) {
  publish(task, SIZE);
}

export function teardown({ task }) {
  deleteTask(task);
}
