// Viewers with a bad connection: each is cut every CUT_EVERY seconds or so for CUT_FOR seconds or so, and goes on after its cursor, at any
// of the hubs, with nothing lost and nothing repeated. k6 says goodbye when it cuts; who vanishes without a word is in the chaos test.
//
//   RUN_SECONDS=30 CUT_EVERY=15 CUT_FOR=2 VUS=15 SOCKETS=2 RATE=50 BATCH=1 BYTES=300 DELIVERY_MS=2000 LIVE_MS=3000 RESUME_MS=2000
//
// RUN_SECONDS must leave room for a cut of each viewer: more than CUT_EVERY and twice CUT_FOR.

import { Counter } from 'k6/metrics';
import {
  Viewer, deleteTask, delivered, newTask, pause, publish, publishing, resumed, setting, sizes, soon, stateOf, thresholds, untilTheEnd, viewing,
} from './hub.js';

const SIZE = sizes({ seconds: 30 });
const CUT_EVERY = setting('CUT_EVERY', 15);
const CUT_FOR = setting('CUT_FOR', 2);
const VIEWERS = SIZE.vus * SIZE.sockets;

const cuts = new Counter('cuts');

export const options = {
  scenarios: { viewers: viewing(SIZE, 'view'), publishers: publishing(SIZE, 'send') },
  thresholds: thresholds(VIEWERS, { ...delivered(), cuts: [`count>=${VIEWERS}`], live: soon('LIVE_MS', 3000), ...resumed() }),
};

export function setup() {
  return { task: newTask('jitter') };
}

export function view({ task }) {
  for (let socket = 0; socket < SIZE.sockets; socket++) {
    watch(task);
  }
}

async function watch(task) {
  const viewer = new Viewer(task);
  // The first cut comes at any time, so that not all are cut together.
  let stay = Math.random() * CUT_EVERY;
  let away = around(CUT_FOR);
  while ((stay + away) * 1000 < untilTheEnd(SIZE)) {
    await pause(stay * 1000);
    viewer.cut();
    cuts.add(1);
    await pause(away * 1000);
    viewer.comeBackNow();
    [stay, away] = [around(CUT_EVERY), around(CUT_FOR)];
  }
  await pause(untilTheEnd(SIZE));
  await viewer.finish(stateOf(task).head);
}

function around(seconds) {
  return seconds * (0.7 + 0.6 * Math.random());
}

export function send({ task }) {
  publish(task, SIZE);
}

export function teardown({ task }) {
  deleteTask(task);
}
