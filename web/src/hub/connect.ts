/** Connects the page to the hub that served it. */
import { Hub } from "tasklight/rest";
import type { HubSource } from "./source.ts";

export function connectHub(): HubSource {
  throw new Error(`not connected: ${String(Hub)}`);
}
