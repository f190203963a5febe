// The tests of Durable Streams' own makers, against the hub that durable.test.mjs has started.
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

runConformanceTests({ baseUrl: process.env.TASKLIGHT_DURABLE_URL, longPollTimeoutMs: Number(process.env.TASKLIGHT_DURABLE_WAIT_MS) });
