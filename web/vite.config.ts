/** The build: hashed files under `assets`, which the hub lets browsers keep for ever, and an index that names them. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import solid from "vite-plugin-solid";
import { gzip } from "./gzip.ts";

const sdk = (name: string): string => fileURLToPath(new URL(`../sdk/typescript/src/${name}.ts`, import.meta.url));

export default defineConfig({
  plugins: [solid(), gzip()],
  // The viewer's sources, so that the page is never older than the package.
  resolve: { alias: { "tasklight/viewer": sdk("viewer"), "tasklight/rest": sdk("rest") } },
  // The hub's policy allows no inline script and no data: URLs but of images.
  build: { target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0, cssCodeSplit: true },
  worker: { format: "es" },
  server: { proxy: { "/v1": { target: process.env["TASKLIGHT_HUB"] ?? "http://127.0.0.1:8080", ws: true } } },
});
