/** Leaves a compressed form beside each text of the build that gets smaller by it, for the hub to send as it is. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const TEXTS = /\.(js|css|html|svg|json|webmanifest|txt|map)$/;

/** A compressed form saves at least so many bytes, or it is not worth its place in the program. */
const WORTH_BYTES = 256;

export function gzip(): Plugin {
  let folder = "dist";
  return {
    name: "gzip",
    apply: "build",
    configResolved: (config) => {
      folder = join(config.root, config.build.outDir);
    },
    closeBundle: async () => {
      for (const name of await readdir(folder, { recursive: true })) {
        if (!TEXTS.test(name)) continue;
        const plain = await readFile(join(folder, name));
        const small = gzipSync(plain, { level: 9 });
        if (small.length + WORTH_BYTES <= plain.length) await writeFile(join(folder, `${name}.gz`), small);
      }
    },
  };
}
