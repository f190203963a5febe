/** The live list of tasks. */
import type { Component } from "solid-js";
import type { HubSource } from "../hub/source.ts";

export const Overview: Component<{ hub: HubSource }> = () => <main />;
