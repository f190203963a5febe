// Publishers that do not pause: each on an invocation of its own, a few on each task. Every tenth request is sent twice, and the second
// answer must be the first one's. At the end each publisher reads its invocation back: what it has receipts for, once, in order.
//
//   RUN_SECONDS=10 VUS=8 TASKS=2 BATCH=10 BYTES=300 RECEIPT_MS=3000

import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import {
  deleteTask, disorder, finished, lost, newTask, publish, received, repeated, setting, sizes, taken, thresholds, url, uuid, viewing,
} from './hub.js';

const SIZE = sizes({ seconds: 10, vus: 8, batch: 10 });
const TASKS = setting('TASKS', 2);
const AGAIN = 10;
const PAGE = 1000;

export const options = {
  scenarios: { publishers: viewing(SIZE, 'work') },
  thresholds: thresholds(SIZE.vus),
};

export function setup() {
  return { tasks: Array.from({ length: TASKS }, () => newTask('ingest')) };
}

export function work({ tasks }) {
  const task = tasks[exec.vu.idInTest % tasks.length];
  const invocation = `k6-${exec.vu.idInTest}`;
  const receipts = [];
  const end = exec.scenario.startTime + SIZE.seconds * 1000;
  for (let request = 0; Date.now() < end; request++) {
    const ids = Array.from({ length: SIZE.batch }, uuid);
    const send = () => publish(task, SIZE, (index) => ({ invocationId: invocation, eventId: ids[index] }));
    const results = send();
    if (!results) {
      break;
    }
    check(results, { 'receipts are of what was sent': (results) => results.every(({ eventId }, index) => eventId === ids[index]) });
    receipts.push(...results);
    if (request % AGAIN === 0) {
      const same = ({ offset, cursor, duplicate }, index) => duplicate && offset === results[index].offset && cursor === results[index].cursor;
      check(send(), { 'sent again: the same receipts': (again) => again !== null && again.every(same) });
    }
  }
  compare(receipts, readBack(task, invocation));
}

function readBack(task, invocation) {
  const activities = [];
  let after = 'start';
  while (after) {
    const query = `invocation=${invocation}&limit=${PAGE}&after=${after}`;
    const answer = taken(() => http.get(url(`/v1/tasks/${task}/activities?${query}`), { tags: { name: 'page' } }));
    if (!check(answer, { 'page read': (answer) => answer.status === 200 })) {
      break;
    }
    const page = answer.json();
    activities.push(...page.activities);
    after = page.next;
  }
  return activities;
}

function compare(receipts, stored) {
  received.add(stored.length);
  const offsets = new Map(stored.map(({ eventId, offset }) => [eventId, offset]));
  repeated.add(stored.length - offsets.size);
  lost.add(receipts.filter(({ eventId, offset }) => offsets.get(eventId) !== offset).length);
  const rises = ({ offset }, index, all) => index === 0 || all[index - 1].offset < offset;
  disorder.add([receipts, stored].map((all) => all.filter((item, index) => !rises(item, index, all)).length).reduce((a, b) => a + b));
  check(stored, { 'nothing is stored but what was sent': (stored) => stored.length === receipts.length && 0 < stored.length });
  finished.add(1);
}

export function teardown({ tasks }) {
  tasks.forEach(deleteTask);
}
