export default { test: { include: ["suite.mjs"], testTimeout: 30_000, fileParallelism: false } };
