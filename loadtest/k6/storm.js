// Everybody comes at once, again and again: within WITHIN seconds all viewers connect with a cursor up to BEHIND activities back, get exactly
// what they missed while more is published, become live, and go.
//
//   RUN_SECONDS=10 ROUND=5 WITHIN=1 BEHIND=200 VUS=15 SOCKETS=4 RATE=20 BATCH=1 BYTES=300 LIVE_MS=3000

import {
  Viewer, deleteTask, newTask, pause, publish, publishing, setting, sizes, soon, stateOf, thresholds, viewing,
} from './hub.js';

const SIZE = sizes({ seconds: 10, sockets: 4, rate: 20 });
const ROUND = setting('ROUND', 5);
const WITHIN = setting('WITHIN', 1);
const BEHIND = setting('BEHIND', 200);
const ROUNDS = Math.max(1, Math.floor(SIZE.seconds / ROUND));
const VIEWERS = SIZE.vus * SIZE.sockets * ROUNDS;

export const options = {
  scenarios: { viewers: viewing(SIZE, 'view'), publishers: publishing(SIZE, 'send') },
  thresholds: thresholds(VIEWERS, { live: soon('LIVE_MS', 3000) }),
};

export function setup() {
  const task = newTask('storm');
  for (let left = BEHIND; 0 < left; left -= 500) {
    publish(task, { ...SIZE, batch: Math.min(left, 500) });
  }
  return { task };
}

export async function view({ task }) {
  const began = Date.now();
  for (let round = 0; round < ROUNDS; round++) {
    await pause(began + round * ROUND * 1000 - Date.now());
    const { epoch, head } = stateOf(task);
    await Promise.all(Array.from({ length: SIZE.sockets }, () => visit(task, epoch, head)));
  }
}

async function visit(task, epoch, head) {
  await pause(Math.random() * WITHIN * 1000);
  const behind = Math.floor(Math.random() * (Math.min(BEHIND, head) + 1));
  await new Viewer(task, `${epoch}-${head - behind}`).finish(head);
}

export function send({ task }) {
  publish(task, SIZE);
}

export function teardown({ task }) {
  deleteTask(task);
}
