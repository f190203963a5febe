/** Everything of the package. `tasklight/viewer`, `tasklight/publisher` and `tasklight/rest` are its parts. */
export * from "./viewer.js";
export * from "./publisher.js";
export * from "./rest.js";
export { type Cursor, formatCursor, parseCursor } from "./cursor.js";
export type { ClientCode, ProblemCode, ProblemDetails } from "./error.js";
