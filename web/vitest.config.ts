import { fileURLToPath } from "node:url";
import solid from "vite-plugin-solid";
import { defineConfig } from "vitest/config";

const sdk = (name: string): string => fileURLToPath(new URL(`../sdk/typescript/src/${name}.ts`, import.meta.url));

export default defineConfig({
  plugins: [solid()],
  resolve: { alias: { "tasklight/viewer": sdk("viewer"), "tasklight/rest": sdk("rest") } },
  test: { include: ["test/**/*.test.ts", "test/**/*.test.tsx"], environment: "happy-dom", testTimeout: 30_000 },
});
