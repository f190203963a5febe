// A database of a test's own on the Postgres that the environment names.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";

const POSTGRES = process.env.TASKLIGHT_TEST_POSTGRES_URL;

const sql = (text) => execFileSync("psql", ["--quiet", "--dbname", POSTGRES, "--command", text]);

export class Database {
  /** No other test has it. */
  name = `test_${randomBytes(8).toString("hex")}`;

  constructor() {
    assert.ok(POSTGRES, "run `make test-clients`, or paste what `make services` prints");
    sql(`CREATE DATABASE ${this.name}`);
  }

  get url() {
    const url = new URL(POSTGRES);
    url.pathname = `/${this.name}`;
    return url.href;
  }

  /** Takes it away, whoever is connected. */
  remove() {
    sql(`DROP DATABASE IF EXISTS ${this.name} WITH (FORCE)`);
  }
}
