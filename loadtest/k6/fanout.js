// Many viewers of one task: each gets every activity once, in order, soon.
//
//   RUN_SECONDS=20 VUS=15 SOCKETS=2 RATE=50 BATCH=1 BYTES=300 DELIVERY_MS=2000

import { setTimeout } from 'k6/timers';
import {
  Viewer, deleteTask, delivered, newTask, publish, publishing, sizes, stateOf, thresholds, untilTheEnd, viewing,
} from './hub.js';

const SIZE = sizes();

export const options = {
  scenarios: { viewers: viewing(SIZE, 'view'), publishers: publishing(SIZE, 'send') },
  thresholds: thresholds(SIZE.vus * SIZE.sockets, delivered()),
};

export function setup() {
  return { task: newTask('fanout') };
}

export function view({ task }) {
  const viewers = Array.from({ length: SIZE.sockets }, () => new Viewer(task));
  setTimeout(() => {
    const { head } = stateOf(task);
    viewers.forEach((viewer) => viewer.finish(head));
  }, untilTheEnd(SIZE));
}

export function send({ task }) {
  publish(task, SIZE);
}

export function teardown({ task }) {
  deleteTask(task);
}
